// What would a small terminal show after this output? Rows of text, without colours: enough for progress bars that
// go back in their line, and for programs that move the cursor. Pure.

/** The last rows of a terminal of this size; each as long as it is wide, blank rows at the end included. */
export function terminalRows(output: string, size: { width: number; height: number }): string[] {
  const screen = new Screen(size.width, size.height);
  for (const [token] of output.matchAll(tokens)) screen.take(token);
  return screen.rows();
}

const escape = "\u001b";
// A control sequence, an operating system command, another escape, or one character.
const tokens = new RegExp(
  [
    `${escape}\\[[0-?]*[ -/]*[@-~]`,
    `${escape}\\][^\u0007${escape}]*(?:\u0007|${escape}\\\\)`,
    `${escape}[^[\\]]`,
    "[^]",
  ].join("|"),
  "gu",
);

const moves: Readonly<Record<string, { readonly x: number; readonly y: number }>> = {
  A: { x: 0, y: -1 },
  B: { x: 0, y: 1 },
  C: { x: 1, y: 0 },
  D: { x: -1, y: 0 },
};

class Screen {
  readonly #width: number;
  readonly #height: number;
  readonly #cells: string[][];
  #x = 0;
  #y = 0;
  #saved = { x: 0, y: 0 };

  constructor(width: number, height: number) {
    this.#width = Math.max(width, 1);
    this.#height = Math.max(height, 1);
    this.#cells = Array.from({ length: this.#height }, () => this.#blank());
  }

  rows(): string[] {
    return this.#cells.map((row) => row.join(""));
  }

  take(token: string): void {
    if (token.length > 1 && token.startsWith(escape)) this.#escape(token);
    else if (token === "\n") [this.#x, this.#y] = [0, this.#y + 1];
    else if (token === "\r") this.#x = 0;
    else if (token === "\b") this.#x = Math.max(0, this.#x - 1);
    else if (token >= " ") this.#put(token);
  }

  #blank(): string[] {
    return Array.from({ length: this.#width }, () => " ");
  }

  #put(character: string): void {
    while (this.#y >= this.#height) {
      this.#cells.shift();
      this.#cells.push(this.#blank());
      this.#y--;
    }
    const row = this.#cells[this.#y];
    if (row !== undefined) row[this.#x] = character;
    this.#x++;
    if (this.#x >= this.#width) [this.#x, this.#y] = [0, this.#y + 1];
  }

  #escape(token: string): void {
    const final = token.at(-1) ?? "";
    const [first = Number.NaN, second = Number.NaN] = token
      .slice(2)
      .split(";")
      .map(Number.parseFloat);
    const move = moves[final];
    if (move !== undefined) {
      const count = Number.isNaN(first) ? 1 : first;
      this.#go(this.#x + move.x * count, this.#y + move.y * count);
    } else if ("Hf".includes(final)) this.#go((second || 1) - 1, (first || 1) - 1);
    else if ("s7".includes(final)) this.#saved = { x: this.#x, y: this.#y };
    else if ("u8".includes(final)) this.#go(this.#saved.x, this.#saved.y);
    else this.#erase(final, first || 0);
  }

  #erase(final: string, what: number): void {
    if (final === "K") this.#eraseLine(what);
    else if (final === "J") this.#eraseScreen(what);
  }

  #go(x: number, y: number): void {
    this.#x = Math.min(Math.max(x, 0), this.#width - 1);
    this.#y = Math.min(Math.max(y, 0), this.#height - 1);
  }

  /** 0: from the cursor on, 1: up to it, 2: all. */
  #eraseLine(what: number): void {
    const row = this.#cells[this.#y];
    if (row === undefined) return;
    row.fill(" ", what === 0 ? this.#x : 0, what === 1 ? this.#x + 1 : this.#width);
  }

  #eraseScreen(what: number): void {
    for (const [index, row] of this.#cells.entries()) {
      const isIn = what === 0 ? index >= this.#y : what === 1 ? index <= this.#y : true;
      if (isIn) row.fill(" ");
    }
  }
}
