// Two ends of a connection inside this process. Bytes arrive when the loop turns, as from a socket: node:http2
// crashes when they come in while it writes.
import { Duplex } from "node:stream";

/** What is written to one end is read from the other. */
export function pair(): [Duplex, Duplex] {
  const ends: Duplex[] = [];
  const end = (index: number): Duplex =>
    new Duplex({
      read() {},
      write(chunk: Buffer, _encoding, done) {
        setImmediate(() => {
          ends[1 - index]?.push(chunk);
          done();
        });
      },
      final(done) {
        setImmediate(() => {
          ends[1 - index]?.push(null);
          done();
        });
      },
      destroy(error, done) {
        setImmediate(() => ends[1 - index]?.destroy());
        done(error);
      },
    });
  const [near, far] = [end(0), end(1)];
  ends.push(near, far);
  return [near, far];
}
