// When may the memory of a chunk be used again? When all of it was sent, by whatever ways and in whatever pieces.
import assert from "node:assert/strict";
import { createServer, connect, type AddressInfo, type Socket } from "node:net";
import { SocketBytes, bufferReader } from "../../../../src/buildkit/http2/byte-stream.ts";
import { FrameWriter } from "../../../../src/buildkit/http2/frame-writer.ts";
import { lent } from "../../../../src/buildkit/http2/reusable-bytes.ts";
import { ChunkPool } from "../../../../src/buildkit/session/filesync/sending/chunk-pool.ts";

const length = 64 * 1024;

/** A socket of ours, and how many bytes its peer must read before `read` resolves. */
async function socketPair(): Promise<{
  bytes: SocketBytes;
  read(count: number): Promise<Buffer>;
  stop(): Promise<void>;
}> {
  const accepted = Promise.withResolvers<Socket>();
  const server = createServer((socket) => accepted.resolve(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const reader = bufferReader();
  const near = connect({
    port: (server.address() as AddressInfo).port,
    host: "127.0.0.1",
    onread: reader.onread,
  });
  const far = await accepted.promise;
  return {
    bytes: new SocketBytes(near, reader),
    async read(count) {
      const chunks: Buffer[] = [];
      let got = 0;
      for await (const chunk of far) {
        chunks.push(chunk as Buffer);
        got += (chunk as Buffer).length;
        if (got >= count) break;
      }
      return Buffer.concat(chunks);
    },
    async stop() {
      near.destroy();
      far.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

describe("memory of chunks", () => {
  it("comes back when a socket took all of its pieces, and not before", async () => {
    const pool = new ChunkPool(length);
    const chunk = pool.take();
    chunk.fill(7);
    lent(chunk);
    const pair = await socketPair();
    try {
      pair.bytes.write([chunk.subarray(0, 40_000)]);
      assert.deepEqual(await pair.read(40_000), Buffer.alloc(40_000, 7));
    } finally {
      await pair.stop();
    }
    assert.notEqual(pool.take().buffer, chunk.buffer, "24 KiB of it were not sent");

    const next = await socketPair();
    try {
      next.bytes.write([chunk.subarray(40_000), Buffer.from("x")]);
      assert.equal((await next.read(length - 40_000 + 1)).length, length - 40_000 + 1);
    } finally {
      await next.stop();
    }
    assert.equal(pool.take().buffer, chunk.buffer);
  });

  it("comes back when small pieces were copied into frames", () => {
    const pool = new ChunkPool(length);
    const chunk = pool.take();
    lent(chunk);
    const writer = new FrameWriter();
    for (let at = 0; at < length; at += 4_096) {
      assert.notEqual(pool.take().buffer, chunk.buffer, `${at} of ${length} bytes are copied`);
      writer.add(chunk.subarray(at, at + 4_096));
    }
    assert.equal(pool.take().buffer, chunk.buffer);
  });

  it("never comes back from frames that hold it", () => {
    const pool = new ChunkPool(length);
    const chunk = pool.take();
    lent(chunk);
    const writer = new FrameWriter();
    writer.add(chunk);
    writer.take();
    assert.notEqual(pool.take().buffer, chunk.buffer);
  });

  it("comes back for the part of it that was lent", () => {
    const pool = new ChunkPool(length);
    const chunk = pool.take();
    const part = lent(chunk.subarray(20, 120));
    new FrameWriter().add(part);
    assert.equal(pool.take().buffer, chunk.buffer);
  });
});
