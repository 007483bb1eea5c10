// Is this text a digest, and where does its blob stand? A daemon's words never become a path unchecked. Pure.

const hexDigits: Readonly<Record<string, number>> = { sha256: 64, sha384: 96, sha512: 128 };

/** The two halves of a digest. */
export interface Digest {
  /** "sha256", "sha384" or "sha512", as node:crypto names them, too. */
  readonly algorithm: string;
  readonly hex: string;
}

/** `sha256:<hex>` and its stronger kin; undefined for anything else. */
export function parseDigest(text: string): Digest | undefined {
  const [, algorithm = "", hex = ""] =
    /^(sha256|sha384|sha512):([0-9a-f]{64,128})$/.exec(text) ?? [];
  return hex !== "" && hexDigits[algorithm] === hex.length ? { algorithm, hex } : undefined;
}
