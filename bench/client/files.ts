// Files to build from and the proof that they arrived: made by a seed, compared by their bytes.
import { createHash } from "node:crypto";
import {
  createReadStream,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { open } from "node:fs/promises";
import path from "node:path";
import { pipeline } from "node:stream/promises";

const mebibyte = 1024 * 1024;

/** Bytes that no compression shrinks, the same for the same seed: xorshift32. */
export function noise(seed: number, length: number): Buffer {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = seed * 2_654_435_769 + 1;
  for (let index = 0; index < words.length; index += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[index] = state;
  }
  return Buffer.from(words.buffer, 0, length);
}

/** `count` files of `bytes` bytes, 100 in a folder. */
export function smallFiles(root: string, count: number, bytes: number): void {
  for (let index = 0; index < count; index += 1) {
    const folder = path.join(root, `d${Math.floor(index / 100)}`);
    if (index % 100 === 0) mkdirSync(folder, { recursive: true });
    writeFileSync(path.join(folder, `f${index}`), noise(index, bytes));
  }
}

/** One file of so many MiB. */
export async function largeFile(file: string, mebibytes: number): Promise<void> {
  mkdirSync(path.dirname(file), { recursive: true });
  const handle = await open(file, "w");
  try {
    for (let index = 0; index < mebibytes; index += 1)
      await handle.write(noise(index + 7, mebibyte));
  } finally {
    await handle.close();
  }
}

function digestOfBytes(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** sha256 of a file, in hex. */
export async function digestOfFile(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file, { highWaterMark: mebibyte }), hash);
  return hash.digest("hex");
}

/** sha256 over the names and bytes of all files below a folder. */
export async function digestOfTree(root: string): Promise<string> {
  const hash = createHash("sha256");
  const names = readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)))
    .toSorted();
  for (const name of names) {
    const file = path.join(root, name);
    // A stream for each of 100,000 small files took six minutes.
    const isSmall = statSync(file).size <= mebibyte;
    const digest = isSmall ? digestOfBytes(readFileSync(file)) : await digestOfFile(file);
    hash.update(`${name}\0${digest}\n`);
  }
  return hash.digest("hex");
}
