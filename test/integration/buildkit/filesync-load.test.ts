// Does the session stay alive, and memory bounded, while a very large tree is walked? Over our own server, with a
// receiver in this process: what is watched is this process.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { diskTree, filesync } from "../../../src/buildkit/index.ts";
import {
  finPacket,
  packetType,
  readPacket,
} from "../../../src/buildkit/session/filesync/packets.ts";
import { FrameReader, frameHead } from "../../../src/buildkit/session/frames.ts";
import { connection } from "../../unit/buildkit/session/connection.ts";

const folders = 100;
const filesEach = 1_000;

describe("a sync of 100,000 files", () => {
  let root: string;
  before(() => {
    // In memory where there is such a file system: on a busy disk the files alone take minutes.
    root = mkdtempSync(path.join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "kiln-load-"));
    for (let folder = 0; folder < folders; folder++) {
      mkdirSync(path.join(root, `d${folder}`));
      for (let file = 0; file < filesEach; file++)
        writeFileSync(path.join(root, `d${folder}`, `f${file}`), "");
    }
  });
  after(() => rmSync(root, { recursive: true }));

  it("answers health checks all the while", async () => {
    const session = connection(filesync({ context: diskTree(root) }));
    const stream = session.client.request({
      ":method": "POST",
      ":path": "/moby.filesync.v1.FileSync/DiffCopy",
      "content-type": "application/grpc",
      "dir-name": "context",
    });
    const reader = new FrameReader();
    let [stats, answers, running] = [0, 0, true];
    const answersAt: number[] = [];
    stream.on("data", (chunk: Buffer) => {
      for (const message of reader.push(chunk)) {
        const packet = readPacket(message);
        if (packet.type !== packetType.stat) continue;
        if (packet.stat !== undefined) stats++;
        else stream.end(Buffer.concat([frameHead(2), finPacket()]));
        if (stats % 10_000 === 0) answersAt.push(answers);
      }
    });
    const ended = new Promise<void>((resolve) => stream.on("close", resolve));
    const health = (async () => {
      while (running) {
        const answer = await session.call("/grpc.health.v1.Health/Check", [Buffer.alloc(0)]);
        assert.equal(answer.status, 0);
        answers++;
      }
    })();
    try {
      await ended;
      running = false;
      await health;
      assert.equal(stats, folders * (filesEach + 1));
      // More were answered after the last ten thousand entries than after the first: nothing waited for the end.
      assert.ok(answers > 10, `${answers} answers`);
      assert.ok((answersAt.at(-1) ?? 0) > (answersAt[0] ?? 0), answersAt.join());
    } finally {
      running = false;
      await session.close();
    }
  });
});
