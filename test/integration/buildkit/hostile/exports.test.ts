// Daemons whose exports try to leave the folder they were given, or to fill the disk and the memory.
import assert from "node:assert/strict";
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import {
  BuildkitError,
  exportReceiver,
  toDirectory,
  toFile,
} from "../../../../src/buildkit/index.ts";
import { scratch } from "../../../cluster/index.ts";
import { framed, paced, type PeerCall } from "./grpc-call.ts";
import { many } from "./raw.ts";
import type { SessionPeer } from "./session-peer.ts";
import { fileSendPath, packet, packetBytes, sending, type Sent } from "./syncing.ts";
import { against, leavesNoHandles, memoryOf, solve } from "./verdict.ts";

const mebibyte = 1024 * 1024;
const mode = { directory: 0x80000000, symlink: 0x08000000, device: 0x04000000, fifo: 0x02000000 };

/** A folder for the export, and beside it what no export may touch. */
interface Place {
  readonly root: string;
  readonly outside: string;
}

/** Everything below a folder but the export: names, kinds, bytes and links. */
function picture(folder: string, but: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const full = path.join(folder, entry.name);
    if (full === but) return [];
    if (entry.isDirectory()) return [`${full}/`, ...picture(full, but)];
    const what = entry.isSymbolicLink() ? readlinkSync(full) : readFileSync(full, "utf8");
    const { mode: bits, nlink } = lstatSync(full);
    return [`${full} ${bits} ${nlink} ${what}`];
  });
}

/** Runs an export, by this daemon, into a place; nothing outside of its root may have changed. */
async function exported(
  act: (session: SessionPeer, place: Place) => Promise<{ status: number; message: string }>,
  prepare: (place: Place) => void = () => undefined,
): Promise<{ status: number; made: string[] }> {
  const room = scratch("exports");
  const place = {
    root: path.join(room.folder, "root"),
    outside: path.join(room.folder, "outside"),
  };
  mkdirSync(place.root);
  mkdirSync(place.outside);
  writeFileSync(path.join(place.outside, "secret"), "untouched");
  prepare(place);
  const before = picture(room.folder, place.root);
  let status = -2;
  try {
    const script = {
      async build(session: SessionPeer) {
        const answer = await act(session, place);
        status = answer.status;
        await session.health();
        if (status !== 0) throw new Error(answer.message);
        return {};
      },
    };
    await against(script, async (client) => {
      const attempt = solve(client, {
        attachables: [
          exportReceiver({ 0: toDirectory(place.root), 1: toFile(`${place.root}/file`) }),
        ],
        request: { exporters: [{ type: "local", attrs: {} }] },
        deadlineMs: 20_000,
      });
      const error = await attempt.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      assert.ok(error === undefined || error instanceof BuildkitError, String(error));
      assert.equal(error === undefined, status === 0, String(error));
    });
    assert.deepEqual(picture(room.folder, place.root), before);
    const made = readdirSync(place.root, { recursive: true, encoding: "utf8" });
    return { status, made: made.toSorted() };
  } finally {
    room.remove();
  }
}

function file(name: string, data = "evil"): Sent {
  return { stat: { path: name, mode: 0o644, size: BigInt(data.length) }, data: Buffer.from(data) };
}

function directory(name: string): Sent {
  return { stat: { path: name, mode: (mode.directory | 0o755) >>> 0 } };
}

function link(name: string, target: string): Sent {
  return { stat: { path: name, mode: (mode.symlink | 0o777) >>> 0, linkname: target } };
}

function hardLink(name: string, target: string): Sent {
  return { stat: { path: name, mode: 0o644, linkname: target } };
}

describe("a daemon whose exports try to leave their folder", () => {
  leavesNoHandles();

  const escapes: readonly [sentence: string, entries: (place: Place) => Sent[]][] = [
    ["by ..", () => [file("../evil")]],
    ["by .. in the middle", () => [directory("a"), file("a/../../evil")]],
    ["by .. at the end", () => [directory("a"), directory("a/..")]],
    ["by an absolute path", ({ outside }) => [file(`${outside}/evil`)]],
    ["by the name of nothing", () => [file("")]],
    ["by the name .", () => [file(".")]],
    ["by the name ..", () => [directory("..")]],
    ["by a double slash", ({ outside }) => [directory("a"), file(`a/${outside}/evil`)]],
    ["by a zero byte", () => [file("a\0/../../evil")]],
    ["by a backslash", () => [file("..\\evil")]],
    ["by a link and a file below it", () => [link("a", "../outside"), file("a/evil")]],
    [
      "by an absolute link and a file below it",
      ({ outside }) => [link("a", outside), file("a/evil")],
    ],
    ["by a link and a file of its name", () => [link("a", "../outside/evil"), file("a")]],
    [
      "by a link to a file and a file of its name",
      () => [link("a", "../outside/secret"), file("a")],
    ],
    ["by a link and a folder below it", () => [link("a", "../outside"), directory("a/evil")]],
    [
      "by a link and a folder of its name",
      () => [link("a", "../outside"), directory("a"), file("a/evil")],
    ],
    [
      "by a folder that becomes a link",
      () => [directory("a"), link("a", "../outside"), file("a/evil")],
    ],
    ["by links through links", () => [link("a", "b"), link("b", ".."), file("a/outside/evil")]],
    ["by a hard link to a path outside", () => [hardLink("a", "../outside/secret")]],
    ["by a hard link to an absolute path", ({ outside }) => [hardLink("a", `${outside}/secret`)]],
    ["by a hard link through a link", () => [link("a", "../outside"), hardLink("b", "a/secret")]],
    [
      "by a hard link to a link",
      () => [link("a", "../outside/secret"), hardLink("b", "a"), file("b")],
    ],
    ["by a hard link to itself", () => [hardLink("a", "a")]],
    ["by a hard link to the root", () => [hardLink("a", ".")]],
    [
      "by a link to the root of all",
      () => [link("a", "/"), directory("a/tmp"), file("a/tmp/evil")],
    ],
    ["by a loop of links", () => [link("a", "b"), link("b", "a"), file("a/evil")]],
    ["by the process's own folder", () => [link("a", "/proc/self/cwd"), file("a/evil")]],
  ];
  for (const [sentence, entries] of escapes) {
    it(`${sentence}: nothing outside changes`, async () => {
      await exported((session, place) => sending(session, entries(place)));
    });
  }

  it("through links that were there before: nothing outside changes", async () => {
    for (const entries of [
      [directory("d"), file("d/evil")],
      [file("d/evil")],
      [file("f")],
      [hardLink("x", "d/secret")],
      [link("d", "x"), file("d/evil")],
    ]) {
      await exported(
        (session) => sending(session, entries),
        ({ root }) => {
          symlinkSync("../outside", path.join(root, "d"));
          symlinkSync("../outside/secret", path.join(root, "f"));
        },
      );
    }
  });

  it("by the name of its exporter: only the targets there are get something", async () => {
    for (const id of ["2", "-1", "__proto__", "", "constructor", "../1"]) {
      const { status, made } = await exported((session) =>
        sending(session, [file("x")], { "buildkit-attachable-exporter-id": id }),
      );
      // Nothing was asked for by this name; "" may stand for the first.
      assert.ok(id === "" || status !== 0, id);
      assert.ok(made.length === 0 || id === "", made.join());
    }
  });
});

describe("a daemon whose exports are out of order", () => {
  leavesNoHandles();

  const raw =
    (act: (call: PeerCall, send: (init: Parameters<typeof packetBytes>[0]) => void) => void) =>
    async (session: SessionPeer) => {
      const call = session.open(fileSendPath, { "buildkit-attachable-exporter-id": "0" });
      call.onMessage(() => undefined);
      act(call, (init) => void call.send(packetBytes(init)));
      return call.answer;
    };
  const ends = (call: PeerCall): void => void call.stream.end();

  const orders: readonly [sentence: string, act: Parameters<typeof raw>[0]][] = [
    ["half-closes at once", (call) => ends(call)],
    ["sends an empty list and leaves", (call, send) => (send({}), call.leave())],
    ["sends FIN first", (call, send) => (send({ type: packet.fin }), ends(call))],
    [
      "sends data first",
      (call, send) => (send({ type: packet.data, data: Buffer.from("x") }), ends(call)),
    ],
    ["sends a request", (call, send) => (send({ type: packet.request, id: 0 }), ends(call))],
    [
      "sends an error",
      (call, send) => (send({ type: packet.error, data: Buffer.from("x") }), ends(call)),
    ],
    ["sends an unknown packet", (call, send) => (send({ type: 99 }), ends(call))],
    [
      "sends a list after its end",
      (call, send) => {
        send({});
        send({ stat: { path: "x", mode: 0o644 } });
        ends(call);
      },
    ],
    [
      "sends data of a file that was not asked for",
      (call, send) => {
        send({ stat: { path: "d", mode: (mode.directory | 0o755) >>> 0 } });
        send({});
        send({ type: packet.data, id: 0, data: Buffer.from("x") });
        send({ type: packet.data, id: 77, data: Buffer.from("x") });
        ends(call);
      },
    ],
    [
      "leaves in the middle of a file",
      (call, send) => {
        send({ stat: { path: "f", mode: 0o644, size: 100n } });
        send({});
        call.onMessage(() => {
          send({ type: packet.data, id: 0, data: Buffer.from("x") });
          call.leave();
        });
      },
    ],
    [
      "half-closes in the middle of a file",
      (call, send) => {
        send({ stat: { path: "f", mode: 0o644, size: 100n } });
        send({});
        call.onMessage(() => {
          send({ type: packet.data, id: 0, data: Buffer.from("x") });
          ends(call);
        });
      },
    ],
    [
      "sends bytes that are no packets",
      (call) => {
        void call.send(Buffer.alloc(64, 0xff));
        ends(call);
      },
    ],
    [
      "sends a packet cut short",
      (call) => void call.stream.end(framed(Buffer.alloc(100)).subarray(0, 50)),
    ],
    [
      "sends a message of 20 MiB",
      (call) => void call.stream.end(framed(Buffer.alloc(20 * mebibyte))),
    ],
    [
      "sends ten thousand ends",
      (call) => void call.stream.end(many(framed(Buffer.alloc(0)), 10_000)),
    ],
  ];
  for (const [sentence, act] of orders) {
    it(`${sentence}: the export fails, or is empty, and the session lives on`, async () => {
      const { made } = await exported(raw(act));
      assert.ok(made.length <= 2, made.join());
    });
  }

  const odd: readonly [sentence: string, entries: Sent[]][] = [
    ["twice the same file", [file("a"), file("a")]],
    ["names out of order", [file("b"), file("a")]],
    ["a child without its folder", [file("a/b/c")]],
    ["a file below a file", [file("a"), file("a/b")]],
    ["a name that is too long", [file("n".repeat(300))]],
    ["a path that is too deep", [file(`${"d/".repeat(3_000)}f`)]],
    [
      "a device",
      [{ stat: { path: "dev", mode: (mode.device | 0o600) >>> 0, devmajor: 1n, devminor: 3n } }],
    ],
    ["a pipe", [{ stat: { path: "pipe", mode: (mode.fifo | 0o600) >>> 0 } }]],
    ["a socket", [{ stat: { path: "sock", mode: 0x01000180 } }]],
    ["all bits of a mode", [{ stat: { path: "x", mode: 0xffffffff } }]],
    [
      "more bytes than it said",
      [{ stat: { path: "x", mode: 0o644, size: 1n }, data: Buffer.alloc(1_000) }],
    ],
    [
      "fewer bytes than it said",
      [{ stat: { path: "x", mode: 0o644, size: 10n ** 15n }, data: Buffer.alloc(1) }],
    ],
    ["less than nothing", [{ stat: { path: "x", mode: 0o644, size: -1n }, data: Buffer.alloc(1) }]],
    [
      "times beyond time",
      [{ stat: { path: "x", mode: 0o644, modTime: 2n ** 63n - 1n }, data: Buffer.alloc(1) }],
    ],
    [
      "times before time",
      [{ stat: { path: "x", mode: 0o644, modTime: -(2n ** 63n) }, data: Buffer.alloc(1) }],
    ],
    [
      "owners that do not exist",
      [
        {
          stat: { path: "x", mode: 0o644, uid: 0xffffffff, gid: 0xfffffffe },
          data: Buffer.alloc(1),
        },
      ],
    ],
    [
      "attributes by the dozen",
      [
        {
          stat: {
            path: "x",
            mode: 0o644,
            xattrs: { "user.x": Buffer.alloc(70_000), "trusted.overlay.opaque": Buffer.from("y") },
          },
          data: Buffer.alloc(1),
        },
      ],
    ],
  ];
  for (const [sentence, entries] of odd) {
    it(`sends ${sentence}: it ends, and nothing outside changes`, async () => {
      await exported((session) => sending(session, entries));
    });
  }

  it("lists links without end: memory stays bounded", async () => {
    const used = await memoryOf(async () => {
      await exported(async (session) => {
        const call = session.open(fileSendPath, { "buildkit-attachable-exporter-id": "0" });
        call.onMessage(() => undefined);
        const name = "n".repeat(200);
        // More would take minutes to make; that there is an end to their number is a unit test's matter.
        for (let index = 0; index < 50_000 && !call.stream.closed; index += 1_000) {
          const batch = Array.from({ length: 1_000 }, (_, at) => {
            const id = String(index + at).padStart(9, "0");
            const stat = {
              path: `${name}${id}`,
              mode: (mode.symlink | 0o777) >>> 0,
              linkname: "x",
            };
            return framed(packetBytes({ stat }));
          });
          await paced(call.stream, Buffer.concat(batch));
        }
        call.leave();
        return call.answer;
      });
    });
    assert.ok(used < 128 * mebibyte, `${Math.round(used / mebibyte)} MiB`);
  });

  it("sends a file without end: what is not on disk is not in memory either", async () => {
    const used = await memoryOf(async () => {
      await exported(async (session) => {
        const call = session.open(fileSendPath, { "buildkit-attachable-exporter-id": "0" });
        const asked = new Promise<void>((resolve) => call.onMessage(() => resolve()));
        void call.send(packetBytes({ stat: { path: "f", mode: 0o644, size: 10n ** 15n } }));
        void call.send(packetBytes({}));
        await asked;
        const data = packetBytes({ type: packet.data, id: 0, data: Buffer.alloc(mebibyte) });
        for (let index = 0; index < 200 && !call.stream.closed; index += 1) await call.send(data);
        call.leave();
        return call.answer;
      });
    });
    assert.ok(used < 128 * mebibyte, `${Math.round(used / mebibyte)} MiB`);
  });
});
