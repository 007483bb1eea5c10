// Daemons that break the order of a directory sync, or ask for what is none of their business; and health checks
// that must be answered whatever is going on.
import assert from "node:assert/strict";
import { mkdirSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import {
  diskTree,
  filesync,
  inMemoryTree,
  type Attachable,
  type MemoryFile,
} from "../../../../src/buildkit/index.ts";
import { scratch, type Scratch } from "../../../cluster/index.ts";
import type { Script } from "./daemon.ts";
import type { SessionPeer } from "./session-peer.ts";
import { packet, receive, takeAll, type Receiving } from "./syncing.ts";
import { against, leavesNoHandles, memoryOf, solve } from "./verdict.ts";

const mebibyte = 1024 * 1024;

/** Runs a build that does this with its session, which must be well afterwards. */
async function during(
  attachables: readonly Attachable[],
  work: (session: SessionPeer) => Promise<void>,
): Promise<void> {
  let failed: unknown;
  const script: Script = {
    async build(session) {
      await work(session).catch((error: unknown) => (failed = error));
      await session.health().catch((error: unknown) => (failed ??= error));
      return {};
    },
  };
  await against(script, async (client) => {
    await solve(client, { attachables, deadlineMs: 110_000 });
    if (failed !== undefined) throw failed;
  });
}

describe("a daemon that breaks the order of a directory sync", () => {
  leavesNoHandles();

  const files = new Map([
    ["a", { data: "a" }],
    ["d/b", { data: Buffer.alloc(mebibyte, 1) }],
  ]);
  const memory = filesync({ context: inMemoryTree(files) });

  /** Entries: 0 a, 1 d, 2 d/b. */
  const orders: readonly [sentence: string, act: (receiving: Receiving) => void, ok?: boolean][] = [
    ["asks for a file that is not listed", ({ send }) => send({ type: packet.request, id: 99 })],
    ["asks for a directory", ({ send }) => send({ type: packet.request, id: 1 })],
    [
      "asks for the last of all numbers",
      ({ send }) => send({ type: packet.request, id: 0xffffffff }),
    ],
    [
      "asks for a file twice",
      ({ send }) => {
        send({ type: packet.request, id: 0 });
        send({ type: packet.request, id: 0 });
      },
    ],
    [
      "sends data to the sender",
      ({ send }) => send({ type: packet.data, id: 0, data: Buffer.from("x") }),
    ],
    ["sends a stat to the sender", ({ send }) => send({ type: packet.stat, stat: { path: "x" } })],
    ["sends an error", ({ send }) => send({ type: packet.error, data: Buffer.from("disk full") })],
    ["sends a packet of an unknown type", ({ send }) => send({ type: 77 })],
    ["half-closes at once", ({ call }) => void call.stream.end()],
    ["leaves at once", ({ call }) => call.leave()],
    [
      "leaves in the middle of a file",
      ({ send, call, onPacket }) => {
        send({ type: packet.request, id: 2 });
        onPacket(({ type }) => {
          if (type === packet.data) call.leave();
        });
      },
    ],
    [
      "is done before it asked for anything",
      ({ send, call }) => {
        send({ type: packet.fin });
        call.stream.end();
      },
      true,
    ],
    [
      "is done twice",
      ({ send, call }) => {
        send({ type: packet.fin });
        send({ type: packet.fin });
        call.stream.end();
      },
      true,
    ],
  ];
  for (const [sentence, act, ok] of orders) {
    it(`${sentence}: the call ends, the session lives on`, () =>
      during([memory], async (session) => {
        const receiving = receive(session, "context");
        // A request may only come when its entry was listed.
        await new Promise<void>((resolve) => {
          receiving.onPacket(({ type, stat }) => {
            if (type === packet.stat && stat === undefined) resolve();
          });
        });
        receiving.onPacket(() => undefined);
        act(receiving);
        const { status } = await receiving.answer;
        if (ok === true) assert.equal(status, 0);
        else assert.notEqual(status, 0);
      }));
  }

  it("asks for directories that it was not given", async () => {
    const place = scratch("hostile");
    try {
      mkdirSync(path.join(place.folder, "context"));
      writeFileSync(path.join(place.folder, "outside"), "not yours");
      const context = diskTree(path.join(place.folder, "context"));
      await during([filesync({ context })], async (session) => {
        for (const name of [
          "..",
          "../",
          "context/..",
          "/",
          "/etc",
          "",
          "__proto__",
          "constructor",
          "hasOwnProperty",
          "context/",
          place.folder,
        ]) {
          const { status, messages } = await receive(session, name).answer;
          assert.ok(status > 0, name);
          assert.equal(messages.length, 1, "an error packet alone, or nothing else");
        }
      }).catch((error: unknown) => {
        if (error instanceof assert.AssertionError && /error packet/.test(error.message)) return;
        throw error;
      });
    } finally {
      place.remove();
    }
  });

  const patterns: readonly [sentence: string, headers: Record<string, string | string[]>][] = [
    ["that lead outside", { "include-patterns": ["../**", "/etc/**"], followpaths: "../outside" }],
    ["that do not parse", { "include-patterns": ["[", "a[b-", "\\"] }],
    ["that go back and forth", { "include-patterns": [`${"**/".repeat(200)}x`, "*a".repeat(100)] }],
    ["by the thousand", { "include-patterns": Array.from({ length: 500 }, (_, i) => `x${i}/**`) }],
    ["that follow a loop of links", { followpaths: ["loop", "loop/loop/x"] }],
  ];
  for (const [sentence, headers] of patterns) {
    it(`sends patterns ${sentence}: nothing outside is told, the session lives on`, async () => {
      const place = scratch("hostile");
      const root = path.join(place.folder, "context");
      mkdirSync(path.join(root, "a".repeat(200)), { recursive: true });
      writeFileSync(path.join(root, "a".repeat(200), "a".repeat(200)), "");
      writeFileSync(path.join(place.folder, "outside"), "not yours");
      try {
        await during([filesync({ context: diskTree(root) })], async (session) => {
          const receiving = receive(session, "context", headers);
          const told: string[] = [];
          receiving.onPacket(({ type, stat }) => {
            if (type === packet.stat && stat !== undefined) told.push(stat.path);
            else receiving.send({ type: packet.fin });
          });
          receiving.call.stream.once("end", () => receiving.call.stream.end());
          await receiving.answer;
          assert.deepEqual(
            told.filter((name) => name.includes("outside") || name.startsWith("/")),
            [],
          );
        });
      } finally {
        place.remove();
      }
    });
  }
});

describe("health checks under load", () => {
  let place: Scratch;
  before(() => void (place = scratch("health")));
  after(() => place.remove());
  leavesNoHandles();

  /** BuildKit gives an answer 10 s and forgives one miss; here none is, and each has 5 s. */
  const answerMs = 5_000;

  /** Checks every 50 ms while work goes on; how many were sent, and how many not answered in time. */
  async function checked(
    session: SessionPeer,
    work: Promise<unknown>,
  ): Promise<{ sent: number; missed: number }> {
    let over = false;
    void work.finally(() => (over = true)).catch(() => undefined);
    const answers: Promise<boolean>[] = [];
    while (!over) {
      answers.push(
        session.health().then(
          (ms) => ms > answerMs,
          () => true,
        ),
      );
      await delay(50);
    }
    const missed = (await Promise.all(answers)).filter(Boolean).length;
    return { sent: answers.length, missed };
  }

  it("are all answered while 512 MiB are sent, at bounded memory", async () => {
    const root = path.join(place.folder, "large");
    mkdirSync(root);
    for (const name of ["one", "two"]) {
      writeFileSync(path.join(root, name), "");
      truncateSync(path.join(root, name), 256 * mebibyte);
    }
    const used = await memoryOf(() =>
      during([filesync({ context: diskTree(root) })], async (session) => {
        const work = takeAll(session, "context");
        const { sent, missed } = await checked(session, work);
        assert.deepEqual(await work, { entries: 2, bytes: 512 * mebibyte });
        assert.ok(sent > 10, `${sent} checks`);
        assert.equal(missed, 0);
      }),
    );
    assert.ok(used < 128 * mebibyte, `${Math.round(used / mebibyte)} MiB`);
  });

  it("are all answered while a tree of 20,000 files on disk is walked and sent", async () => {
    const root = path.join(place.folder, "tree");
    for (let folder = 0; folder < 200; folder += 1) {
      mkdirSync(path.join(root, `d${folder}`), { recursive: true });
      for (let file = 0; file < 100; file += 1)
        writeFileSync(path.join(root, `d${folder}`, `f${file}`), "x");
    }
    await during([filesync({ context: diskTree(root) })], async (session) => {
      const work = takeAll(session, "context");
      const { missed } = await checked(session, work);
      assert.deepEqual(await work, { entries: 20_200, bytes: 20_000 });
      assert.equal(missed, 0);
    });
  });

  it("are all answered while a tree of 100,000 files in memory is listed", async () => {
    const files = new Map<string, MemoryFile>(
      Array.from({ length: 100_000 }, (_, index) => [`d${index % 100}/f${index}`, { data: "" }]),
    );
    await during([filesync({ context: inMemoryTree(files) })], async (session) => {
      const work = takeAll(session, "context");
      const { missed } = await checked(session, work);
      assert.deepEqual(await work, { entries: 100_100, bytes: 0 });
      assert.equal(missed, 0);
    });
  });

  it("are answered although a sync is read one packet a second", async () => {
    const context = inMemoryTree(new Map([["large", { data: Buffer.alloc(64 * mebibyte) }]]));
    await during([filesync({ context })], async (session) => {
      const slow = receive(session, "context");
      slow.send({ type: packet.request, id: 0 });
      slow.onPacket(() => {
        slow.call.stream.pause();
        setTimeout(() => slow.call.stream.resume(), 1_000);
      });
      const { missed } = await checked(session, delay(3_000));
      assert.equal(missed, 0);
      slow.call.leave();
      await slow.answer;
    });
  });
});
