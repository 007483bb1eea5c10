import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, verify } from "node:crypto";
import fc from "fast-check";
import { KilnError } from "../../../../src/errors/index.ts";
import {
  AgentConversation,
  parsePrivateKey,
  type AgentKey,
} from "../../../../src/buildkit/session/services/ssh-agent.ts";

const pkcs8 = { format: "pem", type: "pkcs8" } as const;
const keys = {
  ed25519: generateKeyPairSync("ed25519").privateKey.export(pkcs8),
  rsa: generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({
    format: "pem",
    type: "pkcs1",
  }),
  ecdsa: generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({
    format: "pem",
    type: "sec1",
  }),
};

function text(value: Buffer | string): Buffer {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function request(type: number, ...parts: Buffer[]): Buffer {
  return text(Buffer.concat([Buffer.of(type), ...parts]));
}

function strings(bytes: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    found.push(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return found;
}

function signRequest(key: AgentKey, data: Buffer, flags: number): Buffer {
  const flagBytes = Buffer.alloc(4);
  flagBytes.writeUInt32BE(flags);
  return request(13, text(key.blob), text(data), flagBytes);
}

function sign(key: AgentKey, data: Buffer, flags = 0): { algorithm: string; signature: Buffer } {
  const [answer] = new AgentConversation([key]).push(signRequest(key, data, flags));
  assert.equal(answer?.[4], 14);
  const [whole] = strings(answer.subarray(5));
  const [algorithm, signature] = strings(whole ?? Buffer.alloc(0));
  return { algorithm: algorithm?.toString() ?? "", signature: signature ?? Buffer.alloc(0) };
}

const data = Buffer.from("what an SSH server wants signed");

describe("the ssh-agent", () => {
  it("lists its keys", () => {
    const held = Object.values(keys).map((pem) => parsePrivateKey(pem));
    const [answer] = new AgentConversation(held).push(request(11));
    assert.equal(answer?.[4], 12);
    assert.equal(answer?.readUInt32BE(5), 3);
    const blobs = strings(answer.subarray(9)).filter((_, index) => index % 2 === 0);
    assert.deepEqual(
      blobs,
      held.map(({ blob }) => blob),
    );
  });

  it("signs with Ed25519", () => {
    const key = parsePrivateKey(keys.ed25519);
    const { algorithm, signature } = sign(key, data);
    assert.equal(algorithm, "ssh-ed25519");
    assert.ok(verify(null, data, createPublicKey(key.key), signature));
  });

  const rsa: [flags: number, algorithm: string, hash: string][] = [
    [0, "ssh-rsa", "sha1"],
    [2, "rsa-sha2-256", "sha256"],
    [4, "rsa-sha2-512", "sha512"],
    [6, "rsa-sha2-512", "sha512"],
  ];
  for (const [flags, wanted, hash] of rsa) {
    it(`signs with RSA and flags ${flags} as ${wanted}`, () => {
      const key = parsePrivateKey(keys.rsa);
      const { algorithm, signature } = sign(key, data, flags);
      assert.equal(algorithm, wanted);
      assert.ok(verify(hash, data, createPublicKey(key.key), signature));
    });
  }

  it("signs with ECDSA, its numbers without needless zeros and never negative", () => {
    const key = parsePrivateKey(keys.ecdsa);
    for (let round = 0; round < 300; round++) {
      const { algorithm, signature } = sign(key, Buffer.from([round]));
      assert.equal(algorithm, "ecdsa-sha2-nistp256");
      const [r = Buffer.alloc(0), s = Buffer.alloc(0)] = strings(signature);
      for (const number of [r, s]) {
        assert.ok((number[0] ?? 0xff) < 0x80);
        assert.ok(number[0] !== 0 || (number[1] ?? 0) >= 0x80);
      }
      const plain = Buffer.concat(
        [r, s].map((n) => Buffer.from(n.toString("hex").padStart(64, "0").slice(-64), "hex")),
      );
      const publicKey = { key: createPublicKey(key.key), dsaEncoding: "ieee-p1363" } as const;
      assert.ok(verify("sha256", Buffer.from([round]), publicKey, plain));
    }
  });

  it("goes on after a request that it does not know, as OpenSSH's session-bind", () => {
    const conversation = new AgentConversation([parsePrivateKey(keys.ed25519)]);
    const extension = request(27, text("session-bind@openssh.com"), text("x".repeat(300)));
    const answers = conversation.push(Buffer.concat([extension, request(11)]));
    assert.deepEqual(
      answers.map((answer) => answer[4]),
      [5, 12],
    );
  });

  it("does not sign with a key that it does not hold", () => {
    const other = parsePrivateKey(keys.rsa);
    const conversation = new AgentConversation([parsePrivateKey(keys.ed25519)]);
    assert.equal(conversation.push(signRequest(other, data, 0))[0]?.[4], 5);
  });

  it("takes no keys, and gives none away", () => {
    for (const type of [17, 18, 19, 20, 22, 25]) {
      assert.equal(new AgentConversation([]).push(request(type, text("x")))[0]?.[4], 5);
    }
  });

  it("answers the same whatever the chunks are", () => {
    const key = parsePrivateKey(keys.ed25519);
    const wire = Buffer.concat([request(11), signRequest(key, data, 0), request(99), request(11)]);
    const whole = Buffer.concat(new AgentConversation([key]).push(wire));
    fc.assert(
      fc.property(fc.array(fc.nat(wire.length), { maxLength: 10 }), (cuts) => {
        const conversation = new AgentConversation([key]);
        const places = [0, ...[...cuts].sort((a, b) => a - b), wire.length];
        const answers = places
          .slice(1)
          .flatMap((end, index) => conversation.push(wire.subarray(places[index], end)));
        assert.deepEqual(Buffer.concat(answers), whole);
      }),
    );
  });

  it("refuses a request without end", () => {
    assert.throws(() => new AgentConversation([]).push(Buffer.from([0x7f, 0, 0, 0])), RangeError);
  });

  it("survives any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        try {
          new AgentConversation([parsePrivateKey(keys.ed25519)]).push(bytes);
        } catch (error) {
          assert.ok(error instanceof RangeError);
        }
      }),
    );
  });
});

describe("private keys", () => {
  const encrypted = generateKeyPairSync("ed25519").privateKey.export({
    ...pkcs8,
    cipher: "aes-256-cbc",
    passphrase: "hunter2",
  });
  const publicKey = createPublicKey(keys.rsa).export({ format: "pem", type: "spki" });
  const bad: [sentence: string, pem: string | Buffer][] = [
    ["nothing", ""],
    ["what is no key", "hunter2"],
    ["an encrypted key", encrypted],
    ["a public key", publicKey],
  ];
  for (const [sentence, pem] of bad) {
    it(`refuses ${sentence}, without quoting it`, () =>
      assert.throws(
        () => parsePrivateKey(pem),
        (error) =>
          error instanceof KilnError &&
          error.reason === "SshKeyInvalid" &&
          !/hunter2|MII|BEGIN/.test(error.message),
      ));
  }

  it("takes blanks around a key, as Secrets often have them", () => {
    assert.equal(parsePrivateKey(`\n  ${keys.ed25519.toString()}\n\n`).type, "ssh-ed25519");
  });
});
