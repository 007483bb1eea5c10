// Addresses that the agent and the pod that writes outputs are told.

import assert from "node:assert/strict";
import { hostAndPort } from "../../../src/agent/wire/address.ts";

describe("an address", () => {
  const cases = [
    ["0.0.0.0:1235", "0.0.0.0", 1235],
    ["[::]:8443", "::", 8443],
    ["localhost:0", "localhost", 0],
  ] as const;
  for (const [text, host, port] of cases)
    it(`is host and port of ${text}`, () => assert.deepEqual(hostAndPort(text), { host, port }));
});
