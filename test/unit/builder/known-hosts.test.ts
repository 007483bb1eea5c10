// Which host keys does a known_hosts file make known?

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { isKnown, knownKeys } from "../../../src/builder/remote/known-hosts.ts";

function key(name: string, type = "ssh-ed25519"): Buffer {
  const string = (text: string): Buffer => {
    const bytes = Buffer.from(text);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
  };
  return Buffer.concat([string(type), string(name)]);
}

const a = key("a");
const line = (hosts: string, blob = a, type = "ssh-ed25519"): string =>
  `${hosts} ${type} ${blob.toString("base64")} a comment`;

function hashed(name: string): string {
  const salt = Buffer.from("0123456789abcdef0123");
  const hash = createHmac("sha1", salt).update(name).digest("base64");
  return `|1|${salt.toString("base64")}|${hash}`;
}

const table: readonly (readonly [
  what: string,
  file: string,
  host: string,
  port: number | undefined,
  known: boolean,
])[] = [
  ["by its name", line("host.example"), "host.example", undefined, true],
  ["whatever the case", line("Host.Example"), "HOST.example", 22, true],
  ["among others", line("one,host.example,two"), "host.example", 22, true],
  ["on another port", line("[host.example]:2222"), "host.example", 2222, true],
  ["by a name without the port", line("host.example"), "host.example", 2222, false],
  ["by a wildcard", line("*.example"), "host.example", 22, true],
  ["by one letter", line("hos?.example"), "host.example", 22, true],
  ["by a wildcard for nothing", line("host*.example*"), "host.example", 22, true],
  ["by wildcards around a piece", line("h*t.?x*e"), "host.example", 22, true],
  ["by wildcards, not twice by one letter", line("host*t.example"), "host.example", 22, false],
  ["by wildcards, not in another order", line("*example*host*"), "host.example", 22, false],
  ["by very many wildcards", line(`${"*a".repeat(40)}b`), "a".repeat(250), 22, false],
  ["but for an exception", line("*.example,!host.example"), "host.example", 22, false],
  ["by a hash", line(hashed("host.example")), "host.example", 22, true],
  ["by a hash with its port", line(hashed("[::1]:2222")), "::1", 2222, true],
  ["by the hash of another", line(hashed("other")), "host.example", 22, false],
  ["a dot is no wildcard", line("hostxexample"), "host.example", 22, false],
  ["in a comment", `# ${line("host.example")}`, "host.example", 22, false],
  [
    "for authorities of certificates",
    `@cert-authority ${line("host.example")}`,
    "host.example",
    22,
    false,
  ],
  [
    "when it was revoked",
    `${line("host.example")}\n@revoked ${line("*")}`,
    "host.example",
    22,
    false,
  ],
  ["with another key", line("host.example", key("b")), "host.example", 22, false],
  ["as another kind of key", line("host.example", a, "ssh-rsa"), "host.example", 22, false],
  ["in a file with noise", `x\n\n${line("host.example")}\r\n`, "host.example", 22, true],
  ["in no file", "", "host.example", 22, false],
];

describe("a host's key", () => {
  for (const [what, file, host, port, known] of table) {
    it(`is ${known ? "" : "not "}known ${what}`, () =>
      assert.equal(isKnown(knownKeys(file, host, port), a), known));
  }
});
