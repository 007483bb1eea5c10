// The ssh-agent protocol for private keys in memory: lists them and signs with them, nothing else.
// draft-ietf-sshm-ssh-agent. Our own, since the agent of ssh2 loses its place after a message that it does not
// know, and OpenSSH ≥ 8.9 begins with one (session-bind@openssh.com); ssh2 reads the keys (ADR 0003).
import { createPrivateKey, sign as cryptoSign, type KeyObject } from "node:crypto";
import { createRequire } from "node:module";
import type ssh2 from "ssh2";
import { KilnError } from "../../../errors/index.ts";

const failure = 5;
const requestIdentities = 11;
const identitiesAnswer = 12;
const signRequest = 13;
const signResponse = 14;
const rsaSha256 = 2;
const rsaSha512 = 4;
const maxMessageBytes = 256 * 1024;

/** A private key that an agent holds. */
export interface AgentKey {
  /** "ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256"… */
  readonly type: string;
  /** The public key as SSH writes it. */
  readonly blob: Buffer;
  readonly comment: string;
  readonly key: KeyObject;
}

function invalidKey(why: string): KilnError {
  return new KilnError({
    class: "User",
    reason: "SshKeyInvalid",
    message: `The SSH private key is not usable: ${why}; give an unencrypted key as OpenSSH or PEM text.`,
  });
}

/** PKCS #8, which ssh2 does not read, in the older form of its kind; Ed25519 has none and is done here. */
function fromPkcs8(text: string): AgentKey | string {
  let key: KeyObject;
  try {
    key = createPrivateKey(text);
  } catch {
    throw invalidKey("its form is unknown");
  }
  if (key.asymmetricKeyType === "ed25519") {
    const raw = Buffer.from(key.export({ format: "jwk" }).x ?? "", "base64url");
    const blob = Buffer.concat([string("ssh-ed25519"), string(raw)]);
    return { type: "ssh-ed25519", blob, comment: "", key };
  }
  if (key.asymmetricKeyType === "rsa")
    return key.export({ format: "pem", type: "pkcs1" }).toString();
  if (key.asymmetricKeyType === "ec") return key.export({ format: "pem", type: "sec1" }).toString();
  throw invalidKey("SSH has no keys of its kind");
}

/** Loaded with the first key: it takes 60 ms, and few builds have keys. */
function keyReader(): typeof ssh2 {
  return createRequire(import.meta.url)("ssh2") as typeof ssh2;
}

/** Reads an unencrypted private key (OpenSSH, PKCS #1, SEC 1, PKCS #8). Throws KilnError User/SshKeyInvalid. */
export function parsePrivateKey(text: string | Buffer): AgentKey {
  const trimmed = `${text.toString().trim()}\n`;
  const known = trimmed.startsWith("-----BEGIN PRIVATE KEY-----") ? fromPkcs8(trimmed) : trimmed;
  if (typeof known !== "string") return known;
  const parsed = keyReader().utils.parseKey(known);
  if (parsed instanceof Error) {
    // The parser's own words never quote the key.
    const encrypted = /encrypted/i.test(parsed.message) || known.includes("BEGIN ENCRYPTED");
    throw invalidKey(encrypted ? "it is encrypted" : "its form is unknown");
  }
  const [only] = Array.isArray(parsed) ? parsed : [parsed];
  if (only?.isPrivateKey() !== true) throw invalidKey("it is a public key");
  const key = createPrivateKey(only.getPrivatePEM());
  return { type: only.type, blob: only.getPublicSSH(), comment: only.comment, key };
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function string(value: Buffer | string): Buffer {
  const bytes = typeof value === "string" ? Buffer.from(value, "utf8") : value;
  return Buffer.concat([uint32(bytes.length), bytes]);
}

/** A positive number as SSH writes it: no leading zeros, but one where the sign bit would be set. */
function mpint(value: Buffer): Buffer {
  let from = 0;
  while (from < value.length - 1 && value[from] === 0) from++;
  const digits = value.subarray(from);
  return string((digits[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.alloc(1), digits]) : digits);
}

function message(type: number, ...parts: Buffer[]): Buffer {
  return string(Buffer.concat([Buffer.of(type), ...parts]));
}

const curveHashes: Readonly<Record<string, string>> = {
  "ecdsa-sha2-nistp256": "sha256",
  "ecdsa-sha2-nistp384": "sha384",
  "ecdsa-sha2-nistp521": "sha512",
};

/** Algorithm and signature, each as an SSH string. RSA without a flag is SHA-1, which nobody takes any more. */
function signature(key: AgentKey, data: Buffer, flags: number): Buffer {
  if (key.type === "ssh-rsa") {
    const hash =
      (flags & rsaSha512) !== 0 ? "sha512" : (flags & rsaSha256) !== 0 ? "sha256" : "sha1";
    const name = { sha512: "rsa-sha2-512", sha256: "rsa-sha2-256", sha1: "ssh-rsa" }[hash];
    return Buffer.concat([string(name), string(cryptoSign(hash, data, key.key))]);
  }
  const hash = curveHashes[key.type];
  if (hash === undefined)
    return Buffer.concat([string(key.type), string(cryptoSign(null, data, key.key))]);
  const pair = cryptoSign(hash, data, { key: key.key, dsaEncoding: "ieee-p1363" });
  const half = pair.length / 2;
  const numbers = Buffer.concat([mpint(pair.subarray(0, half)), mpint(pair.subarray(half))]);
  return Buffer.concat([string(key.type), string(numbers)]);
}

function readString(bytes: Buffer, from: number): { value: Buffer; next: number } | undefined {
  if (from + 4 > bytes.length) return undefined;
  const next = from + 4 + bytes.readUInt32BE(from);
  return next > bytes.length ? undefined : { value: bytes.subarray(from + 4, next), next };
}

function answerSign(keys: readonly AgentKey[], body: Buffer): Buffer {
  const blob = readString(body, 0);
  const data = blob === undefined ? undefined : readString(body, blob.next);
  const key = keys.find((candidate) => blob !== undefined && candidate.blob.equals(blob.value));
  if (data === undefined || key === undefined || data.next + 4 > body.length)
    return message(failure);
  const flags = body.readUInt32BE(data.next);
  return message(signResponse, string(signature(key, data.value, flags)));
}

function answer(keys: readonly AgentKey[], request: Buffer): Buffer {
  switch (request[0] ?? 0) {
    case requestIdentities: {
      const list = keys.map(({ blob, comment }) => Buffer.concat([string(blob), string(comment)]));
      return message(identitiesAnswer, uint32(keys.length), ...list);
    }
    case signRequest:
      return answerSign(keys, request.subarray(1));
    default:
      return message(failure);
  }
}

/** Cuts the agent protocol's bytes into messages, without their lengths, whatever the chunks are. */
export class AgentFrames {
  #pending = Buffer.alloc(0);

  /** The messages that are complete with this chunk. Throws RangeError for an oversized one. */
  push(chunk: Uint8Array): Buffer[] {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    const messages: Buffer[] = [];
    for (;;) {
      const length = this.#pending.length < 4 ? 0 : this.#pending.readUInt32BE(0);
      if (length > maxMessageBytes) throw new RangeError("an agent message is too large");
      const framed = readString(this.#pending, 0);
      if (framed === undefined) return messages;
      this.#pending = this.#pending.subarray(framed.next);
      messages.push(framed.value);
    }
  }
}

/** One client's conversation with the agent: bytes in, bytes out, whatever the chunks are. */
export class AgentConversation {
  readonly #keys: readonly AgentKey[];
  readonly #requests = new AgentFrames();

  constructor(keys: readonly AgentKey[]) {
    this.#keys = keys;
  }

  /** The answers to the requests that are complete with this chunk. Throws RangeError for an oversized one. */
  push(chunk: Uint8Array): Buffer[] {
    return this.#requests.push(chunk).map((request) => answer(this.#keys, request));
  }
}

/**
 * What of a client's request may reach a real agent: listing keys and signing. Undefined: answer `agentFailure`
 * instead. Adding, removing and locking keys, and extensions, are not for a build to do.
 */
export function forwardable(request: Buffer): Buffer | undefined {
  const type = request[0] ?? 0;
  return type === requestIdentities || type === signRequest ? string(request) : undefined;
}

/** The agent's "no". */
export function agentFailure(): Buffer {
  return message(failure);
}

/** A message with its length before it, as it stands on a socket. */
export function agentFrame(content: Buffer): Buffer {
  return string(content);
}
