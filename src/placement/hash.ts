// Which instance does a key like best? A small, well-mixed hash of (instance, key) that is the same
// on every machine and in every version of Node: a change of it moves every cache.

/** FNV-1a over UTF-16 code units, finished with murmur3's mixer: neighbours like `b-0`, `b-1` land far apart. */
export function weight(instanceId: string, key: string): number {
  let hash = 0x811c9dc5;
  for (const text of [instanceId, "\u0000", key]) {
    for (let i = 0; i < text.length; i++) {
      hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
    }
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** `ids` in the order in which `key` prefers them (rendezvous hashing). Equal weights fall back to the id. */
export function preference(ids: readonly string[], key: string): string[] {
  return ids
    .map((id) => ({ id, weight: weight(id, key) }))
    .sort((a, b) => b.weight - a.weight || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0))
    .map(({ id }) => id);
}
