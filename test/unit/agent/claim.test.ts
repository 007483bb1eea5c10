// Outputs onto volumes: what is sent over mutual TLS is written whole or not at all, and nothing leaves its place.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { type Receiver, receive } from "../../../src/agent/outputs/claim/receiver.ts";
import {
  receiverName,
  type ReceiverAddress,
  sender,
  singleName,
} from "../../../src/agent/outputs/claim/sender.ts";
import { stage } from "../../../src/agent/outputs/claim/staging.ts";
import { pieceBytes, type PieceTarget, piecewise } from "../../../src/agent/outputs/pieces.ts";
import { issueClient, issueServer, newAuthority } from "../../../src/builder/index.ts";
import { listed } from "./listed.ts";

const never = new AbortController().signal;
const now = new Date();

describe("a volume that outputs are written onto", () => {
  let root = "";
  let receiver: Receiver;
  let to: ReceiverAddress;
  const places = {
    0: { path: "sites/shop", single: false },
    1: { path: "archives/shop.tar", single: true },
  };

  const opened = async (ref: string) => {
    const authority = await newAuthority(now);
    const server = await issueServer(authority, receiverName, now);
    const outputs = Object.fromEntries(
      Object.entries(places).map(([index, place]) => [index, { root, ...place }]),
    );
    const { ca, certificate: cert, key } = server;
    const tls = { ca, cert, key };
    const made = await receive({ tls, host: "127.0.0.1", port: 0, ref, outputs });
    return { made, authority };
  };

  beforeEach(async () => {
    root = await mkdtemp(path.join(os.tmpdir(), "kiln-claim-"));
    const { made, authority } = await opened("a-1");
    receiver = made;
    to = { address: `127.0.0.1:${receiver.port}`, ...(await issueClient(authority, now)) };
  });
  afterEach(async () => {
    await receiver.close();
    await rm(root, { recursive: true });
  });

  const write = async (target: PieceTarget, data: Buffer): Promise<void> => {
    const sink = piecewise(target, () => undefined);
    await sink.write([data]);
    await sink.finish();
  };

  it("has a folder with modes and links, and what was there before is gone", async () => {
    await mkdir(path.join(root, "sites/shop/old"), { recursive: true });
    const sent = sender(to, 0, never);
    await sent.entry({ path: "empty", type: "folder" });
    await write(sent.file("bin/tool", 0o755), Buffer.from("tool"));
    await write(sent.file("ä b/%2e#?"), Buffer.from("odd"));
    await sent.entry({ path: "bin/alias", type: "symlink", target: "/anywhere/../else" });
    await sent.entry({ path: "bin/same", type: "link", target: "bin/tool" });
    assert.deepEqual(await readdir(path.join(root, "sites/shop")), ["old"], "not before its end");
    await sent.commit();
    const at = (name: string) => path.join(root, "sites/shop", name);
    assert.deepEqual((await readdir(at(""))).toSorted(), ["bin", "empty", "ä b"]);
    assert.equal((await stat(at("bin/tool"))).mode & 0o777, 0o755);
    assert.equal((await stat(at("bin/same"))).ino, (await stat(at("bin/tool"))).ino);
    assert.equal(await readlink(at("bin/alias")), "/anywhere/../else");
    assert.equal(await readFile(at("ä b/%2e#?"), "utf8"), "odd");
    assert.deepEqual(
      await readdir(path.join(root, "sites")),
      ["shop"],
      "nothing is left beside it",
    );
  });

  it("has an archive of several pieces, whole", async () => {
    const data = Buffer.alloc(pieceBytes * 2 + 77, "kiln");
    const sent = sender(to, 1, never);
    await write(sent.file(singleName), data);
    assert.deepEqual(await listed(root), ["archives/.kiln-a-1/file"], "not before its end");
    await sent.commit();
    assert.deepEqual(await listed(root), ["archives/shop.tar"]);
    const found = await readFile(path.join(root, "archives/shop.tar"));
    const sum = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
    assert.equal(sum(found), sum(data));
  });

  it("is as before when it was given up, or the pod ends", async () => {
    const sent = sender(to, 1, never);
    await write(sent.file(singleName), Buffer.from("half"));
    await sent.discard();
    const folder = sender(to, 0, never);
    await write(folder.file("a"), Buffer.from("half"));
    await receiver.close();
    assert.deepEqual(await listed(root), []);
    await folder.discard();
  });

  it("lets in nobody with a certificate of somebody else", async () => {
    const stranger = await issueClient(await newAuthority(now), now);
    const sent = sender({ ...to, certificate: stranger.certificate, key: stranger.key }, 0, never);
    const refused = { class: "Infra", reason: "OutputPodUnreachable", retryable: true };
    await assert.rejects(write(sent.file("a"), Buffer.from("x")), refused);
    await sent.discard();
    const deceived = sender({ ...to, ca: stranger.ca }, 0, never);
    await assert.rejects(deceived.entry({ path: "a", type: "folder" }), refused);
    await deceived.discard();
    assert.deepEqual(await listed(root), []);
  });

  const odd: readonly (readonly [string, () => Promise<unknown>, number, string])[] = [
    [
      "a link in its path",
      async () => await symlink(os.tmpdir(), path.join(root, "sites")),
      0,
      "OutputPlaceDenied",
    ],
    [
      "a file in the place of the folder",
      async () => {
        await mkdir(path.join(root, "sites"));
        await symlink("nowhere", path.join(root, "sites/shop"));
      },
      0,
      "OutputPlaceTaken",
    ],
    [
      "a folder in the place of the file",
      async () => await mkdir(path.join(root, "archives/shop.tar"), { recursive: true }),
      1,
      "OutputPlaceTaken",
    ],
  ];
  for (const [what, prepare, index, reason] of odd)
    it(`is not written with ${what}`, async () => {
      await prepare();
      const sent = sender(to, index, never);
      const whole = async (): Promise<void> => {
        // More than the kernel takes before anybody reads.
        await write(sent.file(singleName), Buffer.alloc(pieceBytes * 3));
        await sent.commit();
      };
      await assert.rejects(whole, { class: "User", reason });
      await sent.discard();
    });

  it("takes nothing through a link of the output itself", async () => {
    const sent = sender(to, 0, never);
    await sent.entry({ path: "out", type: "symlink", target: os.tmpdir() });
    const through = write(sent.file("out/kiln-escaped"), Buffer.from("x"));
    await assert.rejects(through, { reason: "OutputPlaceDenied" });
    await sent.discard();
    assert.equal((await readdir(os.tmpdir())).includes("kiln-escaped"), false);
  });

  for (const name of ["../x", "a/../../x", "", "/"])
    it(`has no file ${JSON.stringify(name)}`, async () => {
      const staging = await stage({ root, path: "place", ref: "r" });
      await assert.rejects(staging.create(name, 0o644), { code: "PATH" });
      await staging.discard();
    });

  it("is rid of what an earlier attempt of the run left, and of nobody else's", async () => {
    for (const ref of ["r-1", "other-1"]) {
      const left = await stage({ root, path: "place", ref });
      await (await left.create("a", 0o644)).close();
    }
    const next = await stage({ root, path: "place", ref: "r-2" });
    await (await next.create("b", 0o644)).close();
    await next.commit();
    assert.deepEqual(await listed(root), [".kiln-other-1/a", "place/b"]);
  });

  it("has what was there before when a change was cut off in its middle", async () => {
    await mkdir(path.join(root, ".kiln-r-1-old/before"), { recursive: true });
    const next = await stage({ root, path: "place", ref: "r-2" });
    assert.deepEqual(await readdir(path.join(root, "place")), ["before"]);
    await next.discard();
  });
});
