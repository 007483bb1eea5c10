// Files as a tar archive, for containers that do not run yet (POSIX.1 ustar). Pure.

/** One regular file. */
export interface TarFile {
  /** Relative; at most 100 bytes. */
  readonly path: string;
  readonly data: Buffer;
  /** Permissions, such as 0o644. */
  readonly mode: number;
}

const block = 512;
const nameBytes = 100;

/** The archive. Throws TypeError for a path that is too long. */
export function tarOf(files: readonly TarFile[]): Buffer {
  const parts = files.flatMap((file) => [
    header(file),
    file.data,
    Buffer.alloc((block - (file.data.length % block)) % block),
  ]);
  return Buffer.concat([...parts, Buffer.alloc(2 * block)]);
}

function header({ path, data, mode }: TarFile): Buffer {
  if (Buffer.byteLength(path) > nameBytes) throw new TypeError(`${path} is too long for a tar`);
  const bytes = Buffer.alloc(block);
  const octal = (value: number, at: number, length: number): void => {
    bytes.write(`${value.toString(8).padStart(length - 1, "0")}\0`, at, "latin1");
  };
  bytes.write(path, 0, "utf8");
  octal(mode, 100, 8);
  octal(0, 108, 8); // owner
  octal(0, 116, 8); // group
  octal(data.length, 124, 12);
  octal(0, 136, 12); // modified at
  bytes.write("        ", 148, "latin1"); // the sum counts itself as blanks
  bytes.write("0", 156, "latin1");
  bytes.write("ustar\u000000", 257, "latin1");
  const sum = bytes.reduce((total, one) => total + one, 0);
  bytes.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return bytes;
}
