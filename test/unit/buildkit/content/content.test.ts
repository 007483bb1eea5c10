import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import {
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import {
  AbortRequestSchema,
  DeleteContentRequestSchema,
  InfoRequestSchema,
  InfoResponseSchema,
  ListContentRequestSchema,
  ListContentResponseSchema,
  ReadContentRequestSchema,
  ReadContentResponseSchema,
  StatusRequestSchema,
  StatusResponseSchema,
  UpdateRequestSchema,
  WriteContentRequestSchema,
  WriteContentResponseSchema,
} from "../../../../src/gen/containerd/services/content/v1/content_pb.ts";
import { contentProvider } from "../../../../src/buildkit/session/content/service.ts";
import { layoutStore } from "../../../../src/buildkit/session/content/store.ts";
import { connection, type Answer, type Connection } from "../session/connection.ts";

const service = "/containerd.services.content.v1.Content";
const storeId = { "buildkit-attachable-store-id": "local:x" };
const [stat, write, commit] = [0, 1, 2];

function digestOf(data: string | Buffer): string {
  return `sha256:${createHash("sha256").update(data).digest("hex")}`;
}

type Step = MessageInitShape<typeof WriteContentRequestSchema>;

describe("a content store in a session", () => {
  let folder: string;
  let daemon: Connection;

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), "kiln-content-"));
    const store = layoutStore(path.join(folder, "layout"), { writable: true });
    const lent = layoutStore(path.join(folder, "layout"), { writable: false });
    daemon = connection(contentProvider({ id: "oci:lent", store: lent }, { id: "local:x", store }));
  });

  afterEach(async () => {
    await daemon.close();
    rmSync(folder, { recursive: true });
  });

  const layout = (...names: string[]): string => path.join(folder, "layout", ...names);
  const blob = (data: string): string => layout("blobs/sha256", digestOf(data).slice(7));

  function put(data: string): string {
    mkdirSync(layout("blobs/sha256"), { recursive: true });
    writeFileSync(blob(data), data);
    return digestOf(data);
  }

  async function call<I extends DescMessage>(
    method: string,
    schema: I,
    request: MessageInitShape<I>,
    headers = storeId,
  ): Promise<Answer> {
    return daemon.call(
      `${service}/${method}`,
      [toBinary(schema, create(schema, request))],
      headers,
    );
  }

  async function writes(...steps: Step[]): Promise<Answer> {
    const messages = steps.map((step) =>
      toBinary(WriteContentRequestSchema, create(WriteContentRequestSchema, step)),
    );
    return daemon.call(`${service}/Write`, messages, storeId);
  }

  function decoded<O extends DescMessage>(schema: O, { messages }: Answer): MessageShape<O>[] {
    return messages.map((message) => fromBinary(schema, message));
  }

  it("tells of a blob, and reads it from anywhere", async () => {
    const data = "0123456789".repeat(300_000);
    const digest = put(data);
    const [found] = decoded(InfoResponseSchema, await call("Info", InfoRequestSchema, { digest }));
    assert.deepEqual([found?.info?.digest, found?.info?.size], [digest, 3_000_000n]);
    for (const [offset, size, wanted] of [
      [0n, 0n, data],
      [5n, 10n, "5678901234"],
      [2_999_995n, 100n, "56789"],
      [3_000_000n, 0n, ""],
    ] as const) {
      const answer = await call("Read", ReadContentRequestSchema, { digest, offset, size });
      const parts = decoded(ReadContentResponseSchema, answer);
      assert.equal(Buffer.concat(parts.map((part) => part.data)).toString(), wanted);
      assert.equal(parts[0]?.offset ?? offset, offset);
    }
    const past = await call("Read", ReadContentRequestSchema, { digest, offset: 3_000_001n });
    assert.equal(past.status, 11);
  });

  it("lists its blobs", async () => {
    const digests = [put("a"), put("b")].sort();
    writeFileSync(layout("blobs/sha256/not-a-digest"), "x");
    const [all] = decoded(
      ListContentResponseSchema,
      await call("List", ListContentRequestSchema, {}),
    );
    assert.deepEqual(all?.info.map(({ digest }) => digest).sort(), digests);
  });

  for (const digest of [
    "",
    "sha256:../../../etc/passwd",
    "sha256:" + "/".repeat(64),
    "../../x:" + "a".repeat(64),
    "sha256:" + "A".repeat(64),
    "sha256:" + "a".repeat(63),
    "sha512:" + "a".repeat(64),
    "md5:" + "a".repeat(32),
    `sha256:${"a".repeat(64)}\n`,
  ]) {
    it(`refuses ${JSON.stringify(digest.slice(0, 30))} as a digest`, async () => {
      const { status } = await call("Info", InfoRequestSchema, { digest });
      assert.equal(status, 3);
      const read = await call("Read", ReadContentRequestSchema, { digest });
      assert.equal(read.status, 3);
    });
  }

  it("knows only the stores that were lent", async () => {
    const digest = put("a");
    const id = (text: string) => ({ "buildkit-attachable-store-id": text });
    const info = async (headers: { "buildkit-attachable-store-id": string }) =>
      (await call("Info", InfoRequestSchema, { digest }, headers)).status;
    assert.equal(await info(id("oci:lent")), 0);
    assert.equal(await info(id("oci:other")), 5);
    const without = await daemon.call(`${service}/Info`, [Buffer.alloc(0)]);
    assert.equal(without.status, 3);
  });

  it("takes a blob in: stat, write, commit", async () => {
    const [first, second] = ["first half ", "second half"];
    const expected = digestOf(first + second);
    const answer = await writes(
      { action: stat, ref: "r", total: 22n, expected },
      { action: write, data: Buffer.from(first) },
      { action: write, data: Buffer.from(second), offset: 11n },
      { action: commit, offset: 22n, total: 22n, expected },
    );
    assert.equal(answer.status, 0, answer.message);
    const said = decoded(WriteContentResponseSchema, answer);
    assert.deepEqual(
      said.map(({ action, offset }) => [action, Number(offset)]),
      [
        [stat, 0],
        [write, 11],
        [write, 22],
        [commit, 22],
      ],
    );
    assert.equal(said.at(-1)?.digest, expected);
    assert.equal(readFileSync(blob(first + second), "utf8"), first + second);
    assert.equal(statSync(blob(first + second)).mode & 0o777, 0o444);
    assert.deepEqual(readdirSync(layout()), ["blobs"]);
  });

  it("takes an empty blob in", async () => {
    const answer = await writes(
      { action: stat, ref: "r", expected: digestOf("") },
      { action: commit, expected: digestOf("") },
    );
    assert.equal(answer.status, 0, answer.message);
    assert.equal(statSync(blob("")).size, 0);
  });

  it("resumes where a write broke off", async () => {
    await writes({ action: stat, ref: "r", total: 4n }, { action: write, data: Buffer.from("ab") });
    const [kept] = decoded(
      StatusResponseSchema,
      await call("Status", StatusRequestSchema, { ref: "r" }),
    );
    assert.deepEqual([kept?.status?.offset, kept?.status?.total], [2n, 4n]);
    const answer = await writes(
      { action: stat, ref: "r", total: 4n },
      { action: write, data: Buffer.from("cd"), offset: 2n },
      { action: commit, offset: 4n, total: 4n, expected: digestOf("abcd") },
    );
    assert.equal(answer.status, 0, answer.message);
    assert.equal(decoded(WriteContentResponseSchema, answer)[0]?.offset, 2n);
    assert.equal(readFileSync(blob("abcd"), "utf8"), "abcd");
  });

  it("begins anew when a write does", async () => {
    await writes({ action: stat, ref: "r" }, { action: write, data: Buffer.from("wrong") });
    const answer = await writes(
      { action: write, ref: "r", data: Buffer.from("ab") },
      { action: commit, offset: 2n, expected: digestOf("ab") },
    );
    assert.equal(answer.status, 0, answer.message);
  });

  it("forgets a write that is given up", async () => {
    await writes({ action: stat, ref: "r" }, { action: write, data: Buffer.from("ab") });
    assert.equal((await call("Abort", AbortRequestSchema, { ref: "r" })).status, 0);
    assert.equal((await call("Abort", AbortRequestSchema, { ref: "r" })).status, 5);
    assert.equal((await call("Status", StatusRequestSchema, { ref: "r" })).status, 5);
  });

  const refused: [what: string, status: number, steps: Step[]][] = [
    ["no name", 3, [{ action: write, data: Buffer.from("x") }]],
    ["a gap", 11, [{ action: write, ref: "r", data: Buffer.from("x"), offset: 1n }]],
    [
      "another digest",
      9,
      [
        { action: write, ref: "r", data: Buffer.from("x") },
        { action: commit, offset: 1n, expected: digestOf("y") },
      ],
    ],
    [
      "another size",
      9,
      [
        { action: write, ref: "r", data: Buffer.from("x") },
        { action: commit, offset: 1n, total: 2n, expected: digestOf("x") },
      ],
    ],
    ["more than announced", 9, [{ action: write, ref: "r", total: 1n, data: Buffer.from("xy") }]],
    ["a digest that is a path", 3, [{ action: stat, ref: "r", expected: "../../x" }]],
    [
      "a digest that is a path, at the end",
      3,
      [
        { action: write, ref: "r", data: Buffer.from("x") },
        { action: commit, offset: 1n, expected: "sha256:../../x" },
      ],
    ],
  ];
  for (const [what, status, steps] of refused) {
    it(`refuses a write with ${what}`, async () => {
      const answer = await writes(...steps);
      assert.equal(answer.status, status, answer.message);
      assert.ok(!existsSync(layout("blobs")) || readdirSync(layout("blobs/sha256")).length === 0);
    });
  }

  it("takes names of writes for names, not for paths", async () => {
    for (const ref of ["../../../escaped", "/abs", "a\0b", ".", "x".repeat(5000)]) {
      const answer = await writes({ action: stat, ref }, { action: write, data: Buffer.from("x") });
      assert.equal(answer.status, 0, answer.message);
    }
    assert.deepEqual(readdirSync(folder), ["layout"]);
    assert.equal(readdirSync(layout("ingest")).length, 5);
  });

  it("says that a blob is there already, and keeps no part of the write", async () => {
    const expected = put("x");
    assert.equal((await writes({ action: stat, ref: "r", expected })).status, 6);
    const late = await writes(
      { action: write, ref: "s", data: Buffer.from("x") },
      { action: commit, offset: 1n, expected },
    );
    assert.equal(late.status, 6);
    assert.deepEqual(readdirSync(layout("ingest")), []);
  });

  it("has one writer for a name at a time", async () => {
    const store = layoutStore(layout(), { writable: true });
    const first = await store.write("r", 0);
    await assert.rejects(store.write("r", 0), { code: 14 });
    await first.close();
    await (await store.write("r", 0)).close();
  });

  it("writes nothing into a store that was lent for reading", async () => {
    const headers = { "buildkit-attachable-store-id": "oci:lent" };
    const step = create(WriteContentRequestSchema, { ref: "r", data: Buffer.from("x") });
    const answer = await daemon.call(
      `${service}/Write`,
      [toBinary(WriteContentRequestSchema, step)],
      headers,
    );
    assert.equal(answer.status, 9);
    assert.ok(!existsSync(layout()));
  });

  it("deletes nothing and changes no labels", async () => {
    const digest = put("a");
    assert.equal((await call("Delete", DeleteContentRequestSchema, { digest })).status, 7);
    assert.equal((await call("Update", UpdateRequestSchema, { info: { digest } })).status, 9);
    assert.ok(existsSync(blob("a")));
  });
});
