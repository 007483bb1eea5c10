// File names are bytes; ours are strings. How does a name that is no UTF-8 survive? Pure.
// Each byte that is no valid UTF-8 becomes the lone surrogate U+DC00 + byte, as in Python's surrogateescape (PEP 383):
// no valid name contains one, so both directions are exact. Go sends and takes such names as they are.

/** Bytes → name. */
export function nameOf(bytes: Buffer): string {
  const text = bytes.toString("utf8");
  return text.includes("\uFFFD") ? escaped(bytes, text) : text;
}

/** Name → its bytes. */
export function bytesOf(name: string): Buffer {
  if (name.isWellFormed()) return Buffer.from(name, "utf8");
  const parts: Buffer[] = [];
  let from = 0;
  for (let at = 0; at < name.length; at++) {
    const unit = name.charCodeAt(at);
    if (unit < 0xdc80 || unit > 0xdcff || isPaired(name, at)) continue;
    parts.push(Buffer.from(name.slice(from, at), "utf8"), Buffer.of(unit - 0xdc00));
    from = at + 1;
  }
  return Buffer.concat([...parts, Buffer.from(name.slice(from), "utf8")]);
}

/** For calls of node:fs: a string where that says the same. */
export function fsPath(path: string): string | Buffer {
  return path.isWellFormed() ? path : bytesOf(path);
}

function isPaired(name: string, at: number): boolean {
  const before = at === 0 ? 0 : name.charCodeAt(at - 1);
  return before >= 0xd800 && before <= 0xdbff;
}

function escaped(bytes: Buffer, text: string): string {
  if (Buffer.from(text, "utf8").equals(bytes)) return text; // U+FFFD itself
  let name = "";
  let at = 0;
  while (at < bytes.length) {
    const length = validLength(bytes, at);
    if (length === 0) name += String.fromCharCode(0xdc00 + (bytes[at] ?? 0));
    else name += bytes.toString("utf8", at, at + length);
    at += Math.max(1, length);
  }
  return name;
}

/** Bytes of the valid character at `at`; 0: it is none. */
function validLength(bytes: Buffer, at: number): number {
  const lead = bytes[at] ?? 0;
  if (lead < 0x80) return 1;
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || at + length > bytes.length) return 0;
  const character = bytes.subarray(at, at + length);
  return Buffer.from(character.toString("utf8"), "utf8").equals(character) ? length : 0;
}
