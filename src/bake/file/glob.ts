// Names of targets with `*`, `?` and `[…]` in them, as Go's path.Match reads them. Pure.

/** Whether a pattern has anything but letters to say. */
export function isPattern(name: string): boolean {
  return /[*?[\]]/.test(name);
}

type Piece = "star" | ((letter: string) => boolean);

/** A test for names. A set of letters without an end fits nothing. */
export function matcher(pattern: string): (name: string) => boolean {
  const pieces = (pattern.match(/\[\^?[^\]]+\]|[\s\S]/g) ?? []).map(pieceOf);
  return (name) => fits(pieces, name);
}

function pieceOf(part: string): Piece {
  if (part === "*") return "star";
  if (part === "?") return (letter) => letter !== "/";
  if (part.length === 1) return (letter) => letter === part;
  const set = letters(part);
  return (letter) => set.test(letter);
}

/** Only the last star takes more when what follows it does not fit: one before it would leave it less to choose from. */
function fits(pieces: readonly Piece[], name: string): boolean {
  let [at, piece] = [0, 0];
  let star: { readonly piece: number; end: number } | undefined;
  while (at < name.length) {
    const one = pieces[piece];
    if (one === "star") {
      piece += 1;
      star = { piece, end: at };
    } else if (one?.(name.charAt(at)) === true) {
      piece += 1;
      at += 1;
    } else if (star !== undefined && name.charAt(star.end) !== "/") {
      star.end += 1;
      at = star.end;
      ({ piece } = star);
    } else return false;
  }
  return pieces.slice(piece).every((one) => one === "star");
}

/** `[…]` as a regular expression, which does not compile with a range that goes backwards; to Go nothing is in one. */
function letters(set: string): RegExp {
  const [, open = "", inner = ""] = /^(\[\^?)([\s\S]*)\]$/.exec(set) ?? [];
  const forwards = inner.replaceAll(/([\s\S])-([\s\S])/g, (range, from: string, to: string) =>
    from > to ? "" : range,
  );
  return new RegExp(`^${open}${forwards.replaceAll("\\", "\\\\")}]$`);
}
