// What fuzzers of byte streams share: random bytes, damage, and chunks of any size.
import type { Random } from "./random.ts";

/** Up to `most` bytes, each as likely as the others. */
export function anyBytes(random: Random, most: number): Buffer {
  return Buffer.from(random.list(most, () => random.below(256)));
}

/** What a reader of sockets does with bytes once they were taken: whoever kept them sees others. */
export function overwrite(bytes: Buffer): void {
  bytes.fill(0xee);
}

/** The same bytes with a few changed, cut off, doubled or put in. */
export function damaged(random: Random, bytes: Buffer): Buffer {
  let now = Buffer.from(bytes);
  for (let times = random.below(4); times >= 0; times -= 1) {
    const at = random.below(now.length + 1);
    switch (random.below(4)) {
      case 0:
        if (at < now.length) now[at] = random.below(256);
        break;
      case 1:
        now = now.subarray(0, at);
        break;
      case 2:
        now = Buffer.concat([now.subarray(0, at), anyBytes(random, 8), now.subarray(at)]);
        break;
      default:
        now = Buffer.concat([now.subarray(0, at), now.subarray(random.below(at + 1))]);
    }
  }
  return now;
}

/** Bytes cut at random places, empty chunks among them. */
export function chunked(random: Random, bytes: Buffer): Buffer[] {
  // Never so many that they take longer than the bytes.
  const most = Math.max(random.pick([1, 3, 10, 100, 10_000]), Math.ceil(bytes.length / 200));
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + random.below(most + 1);
    chunks.push(bytes.subarray(at, end));
    at = Math.min(end, bytes.length);
  }
  return chunks;
}
