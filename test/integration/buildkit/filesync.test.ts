// Does a real buildkitd get from us what it gets from its own client, byte for byte, and only what changed?
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, linkSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import {
  connect,
  diskTree,
  type BuildkitClient,
  parseEndpoint,
  sharedKeyOf,
  type Tree,
} from "../../../src/buildkit/index.ts";
import { type Buildkitd, buildkitd, scratch, type Scratch } from "../../cluster/index.ts";
import { buildByBuildctl, buildByUs } from "./syncing.ts";

describe("file sync with a real buildkitd", () => {
  let daemon: Buildkitd;
  let client: BuildkitClient;
  let place: Scratch;

  before(async () => {
    daemon = await buildkitd({ mirror: false });
    client = connect(parseEndpoint(daemon.address));
    place = scratch("filesync");
    writeFileSync(path.join(place.folder, "Dockerfile"), "FROM scratch\nCOPY . /\n");
  });

  after(async () => {
    client.close();
    await daemon.stop();
    place.remove();
  });

  let folders = 0;
  function folder(): string {
    const created = path.join(place.folder, `context-${folders++}`);
    mkdirSync(created);
    return created;
  }

  /** A worker goes on from these entries, where a folder has them. */
  function handedOver(context: string): Tree {
    return { ...diskTree(context), isLarge: (name) => name === "g20" || name === "a folder" };
  }

  async function sameAsBuildctl(context: string): Promise<void> {
    const [ours, theirs] = [
      await buildByUs(client, handedOver(context)),
      await buildByBuildctl(daemon, context, { folder: place.folder }),
    ];
    assert.match(ours.digest, /^sha256:/);
    assert.equal(ours.digest, theirs.digest);
  }

  const trees: [sentence: string, make: (context: string) => void][] = [
    [
      "files of every mode",
      (context) => {
        for (const mode of [0o644, 0o755, 0o600, 0o4755, 0o2755, 0o1777, 0o000]) {
          writeFileSync(path.join(context, `f${mode.toString(8)}`), "x");
          chmodSync(path.join(context, `f${mode.toString(8)}`), mode);
          mkdirSync(path.join(context, `d${mode.toString(8)}`));
          chmodSync(path.join(context, `d${mode.toString(8)}`), mode);
        }
      },
    ],
    [
      "hard links, the first of which may be excluded",
      (context) => {
        writeFileSync(path.join(context, ".dockerignore"), "a\n");
        writeFileSync(path.join(context, "a"), "linked");
        for (const name of ["b", "c", "d"])
          linkSync(path.join(context, "a"), path.join(context, name));
      },
    ],
    [
      "symlinks to files, folders, nowhere and out",
      (context) => {
        mkdirSync(path.join(context, "d"));
        writeFileSync(path.join(context, "d", "f"), "x");
        for (const [name, target] of Object.entries({
          a: "d/f",
          b: "d",
          c: "nowhere",
          e: "/etc/passwd",
          f: "../..",
        }))
          symlinkSync(target, path.join(context, name));
      },
    ],
    [
      "devices and pipes",
      (context) => {
        execFileSync("mknod", [path.join(context, "null"), "c", "1", "3"]);
        execFileSync("mknod", [path.join(context, "block"), "b", "259", "300"]);
        execFileSync("mkfifo", [path.join(context, "pipe")]);
        linkSync(path.join(context, "pipe"), path.join(context, "pipe2"));
      },
    ],
    [
      "special names",
      (context) => {
        for (const name of [
          "a b",
          "a,b",
          "é😀",
          "new\nline",
          "\uFF00",
          "-",
          "'\"",
          "%41",
          "a+b",
          "*",
          "[x]",
          "\\",
        ])
          writeFileSync(path.join(context, name), name);
        writeFileSync(
          Buffer.concat([Buffer.from(`${context}/bytes-`), Buffer.of(0xff, 0x80)]),
          "bytes",
        );
      },
    ],
    [
      "times before 1970 and beyond milliseconds",
      (context) => {
        for (const time of [
          "1950-01-01T00:00:00Z",
          "2026-01-02T03:04:05.123456789Z",
          "2100-01-01T00:00:00Z",
        ]) {
          writeFileSync(path.join(context, time), "x");
          execFileSync("touch", ["-d", time, path.join(context, time)]);
        }
      },
    ],
    [
      "what a .dockerignore leaves",
      (context) => {
        writeFileSync(
          path.join(context, ".dockerignore"),
          "# no\n**/*.log\n!keep.log\nout/**\n!out/x/y\n/d\n",
        );
        for (const name of ["out/x", "d"]) mkdirSync(path.join(context, name), { recursive: true });
        for (const name of ["a.log", "keep.log", "out/a", "out/x/y", "out/x/z.log", "d/f", "e"])
          writeFileSync(path.join(context, name), name);
      },
    ],
    [
      "files small and large, empty ones, and deep folders",
      (context) => {
        for (const size of [0, 1, 65_535, 65_536, 65_537, 262_144, 3_000_001])
          writeFileSync(path.join(context, `f${size}`), Buffer.alloc(size, "kiln"));
        const deep = path.join(context, ...Array.from({ length: 40 }, (_, depth) => `d${depth}`));
        mkdirSync(deep, { recursive: true });
        writeFileSync(path.join(deep, "f"), "deep");
      },
    ],
    [
      "a tree that a worker goes on with",
      (context) => {
        for (let group = 0; group < 30; group++) {
          mkdirSync(path.join(context, `g${group}`));
          for (let file = 0; file < 60; file++)
            writeFileSync(path.join(context, `g${group}`, `f${file}`), "x".repeat(file * 20));
        }
      },
    ],
  ];
  for (const [sentence, make] of trees) {
    it(`sends ${sentence} as buildctl does`, async () => {
      const context = folder();
      make(context);
      await sameAsBuildctl(context);
    });
  }

  it("sends a socket as buildctl does", async () => {
    const context = folder();
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path.join(context, "socket"), resolve));
    try {
      await sameAsBuildctl(context);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  for (const [sentence, count] of [
    ["a small folder", 20],
    ["one that a worker reads", 1_100],
  ] as const) {
    it(`sends only what changed of ${sentence}, also when buildctl comes after us`, async () => {
      const context = folder();
      if (count > 1_000) mkdirSync(path.join(context, "a folder"));
      for (let file = 0; file < count; file++)
        writeFileSync(path.join(context, `f${file}`), "x".repeat(50));
      linkSync(path.join(context, "f0"), path.join(context, "link"));
      const sharedKey = sharedKeyOf(context, "test");
      const tree = handedOver(context);
      const first = await buildByUs(client, tree, { sharedKey });
      const unchanged = await buildByUs(client, tree, { sharedKey });
      writeFileSync(path.join(context, "f7"), "y".repeat(50));
      const changed = await buildByUs(client, tree, { sharedKey });
      assert.deepEqual([first.requests, unchanged.requests, changed.requests], [count, 0, 1]);
      assert.equal(unchanged.digest, first.digest);
      assert.notEqual(changed.digest, first.digest);
    });
  }

  it("leaves nothing for buildctl to send", async () => {
    const context = folder();
    for (let file = 0; file < 50; file++)
      writeFileSync(path.join(context, `f${file}`), Buffer.alloc(100_000, `${file}`));
    linkSync(path.join(context, "f0"), path.join(context, "link"));
    utimesSync(path.join(context, "f1"), 1, 1.5);
    // buildctl has no shared key of its own; the local's name is part of what the daemon goes by.
    await buildByUs(client, context, { sharedKey: "" });
    const { sent } = await buildByBuildctl(daemon, context, { folder: place.folder });
    assert.match(sent, /^[\d.]+k?B$/, sent);
  });

  it("follows the links on the way to what a Dockerfile copies", async () => {
    const context = folder();
    mkdirSync(path.join(context, "real"));
    for (const name of ["wanted", "other"]) writeFileSync(path.join(context, "real", name), name);
    writeFileSync(path.join(context, "aside"), "x");
    symlinkSync("real", path.join(context, "link"));
    const built = await buildByUs(client, context, {
      dockerfile: "FROM scratch\nCOPY link/wanted /\n",
    });
    assert.equal(built.requests, 1);
  });

  it("says which local directory it cannot read", async () => {
    await assert.rejects(
      buildByUs(client, path.join(place.folder, "nowhere")),
      /local directory "context" is not there/,
    );
  });
});
