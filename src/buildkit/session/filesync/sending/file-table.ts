// Which file is number n of the list? Some bytes for each: a list may have a million files. Owned by one sync.
import { bytesOf, nameOf } from "../names.ts";

/** The entry has no bytes, or they were asked for. */
const taken = 0x80000000;

/** Files by number: each may be taken once. */
export class FileTable {
  readonly #directories: string[] = [];
  /** All names, one behind the other. */
  #names = Buffer.allocUnsafeSlow(4096);
  #used = 0;
  /** By number: index of the directory, maybe with `taken`, and where the name begins; one more marks the end. */
  #directory = new Uint32Array(256);
  #start = new Uint32Array(257);
  #count = 0;

  /** How many numbers there are. */
  get count(): number {
    return this.#count;
  }

  /** Gives the next number to an entry that has no bytes to ask for. */
  skip(): void {
    this.#reserve(0);
    this.#directory[this.#count++] = taken;
    this.#start[this.#count] = this.#used;
  }

  /** Gives the next number to a file. */
  add(path: string): void {
    const slash = path.lastIndexOf("/");
    const directory = path.slice(0, slash + 1);
    if (this.#directories.at(-1) !== directory) this.#directories.push(directory);
    const name = bytesOf(path.slice(slash + 1));
    this.#reserve(name.length);
    this.#names.set(name, this.#used);
    this.#used += name.length;
    this.#directory[this.#count++] = this.#directories.length - 1;
    this.#start[this.#count] = this.#used;
  }

  /** Takes a file: false when there is no such file, or it was taken already. */
  take(id: number): boolean {
    const directory = id >= 0 && id < this.#count ? (this.#directory[id] ?? taken) : taken;
    if (directory >= taken) return false;
    this.#directory[id] = directory + taken;
    return true;
  }

  /** The path of a file that was taken. */
  pathOf(id: number): string {
    const directory = (this.#directory[id] ?? taken) - taken;
    const name = nameOf(this.#names.subarray(this.#start[id], this.#start[id + 1]));
    return `${this.#directories[directory] ?? ""}${name}`;
  }

  #reserve(nameBytes: number): void {
    if (this.#used + nameBytes > this.#names.length) {
      const bigger = Buffer.allocUnsafeSlow(this.#names.length * 2 + nameBytes);
      bigger.set(this.#names.subarray(0, this.#used));
      this.#names = bigger;
    }
    if (this.#count < this.#directory.length) return;
    this.#directory = grown(this.#directory, this.#count * 2);
    this.#start = grown(this.#start, this.#count * 2 + 1);
  }
}

function grown(values: Uint32Array<ArrayBuffer>, length: number): Uint32Array<ArrayBuffer> {
  const bigger = new Uint32Array(length);
  bigger.set(values);
  return bigger;
}
