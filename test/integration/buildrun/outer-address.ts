// An address of this machine that is no loopback: there BuildKit insists on TLS, and on a certificate that holds.

import assert from "node:assert/strict";
import os from "node:os";

/** The first IPv4 address that others could reach. */
export function outerAddress(): string {
  const all = Object.values(os.networkInterfaces()).flatMap((of) => of ?? []);
  const found = all.find(({ internal, family }) => !internal && family === "IPv4");
  assert.ok(found !== undefined, "this machine has an address of its own");
  return found.address;
}
