// A binary min-heap whose entries can be taken out from the middle: a key that runs early must not
// leave its old alarm behind.

/** An entry of a `Heap`; `index` is the heap's own and -1 while the entry is not in one. */
export interface HeapEntry {
  readonly at: number;
  index: number;
}

/** Entries in order of `at`, equal ones in no particular order. All operations are O(log n). */
export class Heap<E extends HeapEntry> {
  readonly #entries: E[] = [];

  get size(): number {
    return this.#entries.length;
  }

  /** The entry with the smallest `at`, left in place. */
  peek(): E | undefined {
    return this.#entries[0];
  }

  push(entry: E): void {
    entry.index = this.#entries.length;
    this.#entries.push(entry);
    this.#up(entry);
  }

  /** Takes out the entry with the smallest `at`. */
  pop(): E | undefined {
    const first = this.#entries[0];
    if (first !== undefined) this.remove(first);
    return first;
  }

  /** Takes out this entry; does nothing when it is not in the heap. */
  remove(entry: E): void {
    const index = entry.index;
    if (index < 0 || this.#entries[index] !== entry) return;
    const last = this.#entries.pop();
    entry.index = -1;
    if (last === undefined || last === entry) return;
    this.#put(last, index);
    this.#up(last);
    this.#down(last);
  }

  clear(): void {
    for (const entry of this.#entries) entry.index = -1;
    this.#entries.length = 0;
  }

  #put(entry: E, index: number): void {
    this.#entries[index] = entry;
    entry.index = index;
  }

  #up(entry: E): void {
    while (entry.index > 0) {
      const parent = this.#entries[(entry.index - 1) >> 1];
      if (parent === undefined || parent.at <= entry.at) return;
      this.#swap(parent, entry);
    }
  }

  #down(entry: E): void {
    for (;;) {
      const left = this.#entries[2 * entry.index + 1];
      const right = this.#entries[2 * entry.index + 2];
      const child = right !== undefined && left !== undefined && right.at < left.at ? right : left;
      if (child === undefined || entry.at <= child.at) return;
      this.#swap(entry, child);
    }
  }

  #swap(a: E, b: E): void {
    const index = a.index;
    this.#put(a, b.index);
    this.#put(b, index);
  }
}
