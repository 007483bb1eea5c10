// BytesMessage{data = 1}, the message of every byte stream in a session, read and written by hand: a tar comes in
// messages of 4 KiB, a hundred thousand of them. Pure.

const dataTag = 0x0a;

/** What stands before `length` bytes of data. */
export function bytesHead(length: number): Buffer {
  const head = [dataTag];
  let rest = length;
  while (rest > 0x7f) {
    head.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  head.push(rest);
  return Buffer.from(head);
}

/** The data of a message, not copied. Throws RangeError when it is malformed. */
export function bytesOf(message: Buffer): Buffer {
  if (message.length === 0) return message;
  let at = 1;
  let length = 0;
  for (let shift = 0; shift < 28; shift += 7) {
    const byte = message[at++] ?? 0x80;
    length |= (byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  // Every sender writes just this field; anything else is no BytesMessage.
  if (message[0] !== dataTag || at + length !== message.length)
    throw new RangeError("malformed BytesMessage");
  return message.subarray(at);
}
