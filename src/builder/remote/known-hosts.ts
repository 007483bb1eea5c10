// Which keys may a host show? The file known_hosts as sshd(8) describes it: names with wildcards, negation and hashes, and
// the marker @revoked. Pure.

import { createHmac, timingSafeEqual } from "node:crypto";

/** What known_hosts says of one host. */
export interface KnownKeys {
  /** Public keys, as SSH writes them. */
  readonly trusted: readonly Buffer[];
  readonly revoked: readonly Buffer[];
}

const defaultPort = 22;

/** The keys of a host. Lines that are no entry, and entries for authorities of certificates, are passed over. */
export function knownKeys(text: string, host: string, port: number = defaultPort): KnownKeys {
  const name = port === defaultPort ? host : `[${host}]:${port}`;
  const entries = text.split("\n").flatMap((line) => entryOf(line, name.toLowerCase()));
  const keys = (marker: string | undefined): Buffer[] =>
    entries.filter((entry) => entry.marker === marker).map(({ key }) => key);
  return { trusted: keys(undefined), revoked: keys("@revoked") };
}

interface Entry {
  readonly marker: string | undefined;
  readonly key: Buffer;
}

/** The entry in a line, if it is one and about this host. */
function entryOf(line: string, name: string): Entry[] {
  const words = line.trim().split(/\s+/);
  const marker = words[0]?.startsWith("@") === true ? words.shift() : undefined;
  const [hosts = "", type = "", text = ""] = words;
  if (hosts.startsWith("#") || text === "" || !isNamed(hosts, name)) return [];
  const key = Buffer.from(text, "base64");
  return keyType(key) === type ? [{ marker, key }] : [];
}

/** Whether the key is trusted and not revoked. */
export function isKnown({ trusted, revoked }: KnownKeys, key: Buffer): boolean {
  const isIn = (list: readonly Buffer[]): boolean => list.some((one) => one.equals(key));
  return isIn(trusted) && !isIn(revoked);
}

/** "ssh-ed25519" and the like: the first string of a public key; empty for what is none. */
export function keyType(blob: Buffer): string {
  if (blob.length < 4) return "";
  const length = blob.readUInt32BE(0);
  return length > 64 ? "" : blob.subarray(4, 4 + length).toString("latin1");
}

function isNamed(hosts: string, name: string): boolean {
  if (hosts.startsWith("|1|")) return isHashed(hosts, name);
  const patterns = hosts.toLowerCase().split(",");
  const isExcluded = patterns.some((one) => one.startsWith("!") && fits(one.slice(1), name));
  return !isExcluded && patterns.some((one) => fits(one, name));
}

function isHashed(entry: string, name: string): boolean {
  const [, , salt = "", hash = ""] = entry.split("|");
  const wanted = Buffer.from(hash, "base64");
  const actual = createHmac("sha1", Buffer.from(salt, "base64")).update(name).digest();
  return wanted.length === actual.length && timingSafeEqual(wanted, actual);
}

/** Each piece between stars where it first fits: what a star may take grows no other way, whoever writes the file. */
function fits(pattern: string, name: string): boolean {
  const [first = "", ...pieces] = pattern.split("*");
  if (!isAt(first, name, 0)) return false;
  const last = pieces.pop();
  if (last === undefined) return first.length === name.length;
  let at = first.length;
  for (const piece of pieces) {
    while (at <= name.length && !isAt(piece, name, at)) at += 1;
    at += piece.length;
  }
  const end = name.length - last.length;
  return at <= end && isAt(last, name, end);
}

function isAt(piece: string, name: string, at: number): boolean {
  if (at + piece.length > name.length) return false;
  return piece.split("").every((one, index) => one === "?" || one === name[at + index]);
}
