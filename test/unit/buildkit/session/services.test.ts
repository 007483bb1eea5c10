import assert from "node:assert/strict";
import {
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type MessageInitShape,
} from "@bufbuild/protobuf";
import {
  CheckPolicyRequestSchema,
  CheckPolicyResponseSchema,
} from "../../../../src/gen/moby/buildkit/v1/sourcepolicy/policysession/policysession_pb.ts";
import {
  FinalizeExportRequestSchema,
  FindExportersRequestSchema,
  FindExportersResponseSchema,
} from "../../../../src/gen/moby/exporter/v1/exporter_pb.ts";
import type { Attachable } from "../../../../src/buildkit/session/attachable.ts";
import { bytesHead, bytesOf } from "../../../../src/buildkit/session/bytes-message.ts";
import { exporterSession } from "../../../../src/buildkit/session/services/exporter.ts";
import {
  policySession,
  type PolicyAnswer,
  type PolicyQuestion,
} from "../../../../src/buildkit/session/services/policy.ts";
import { uploadProvider } from "../../../../src/buildkit/session/services/upload.ts";
import { connection, type Answer } from "./connection.ts";

async function call<I extends DescMessage>(
  attachable: Attachable,
  method: string,
  schema: I,
  request: MessageInitShape<I>,
): Promise<Answer> {
  const daemon = connection(attachable);
  try {
    return await daemon.call(method, [toBinary(schema, create(schema, request))]);
  } finally {
    await daemon.close();
  }
}

describe("a body that is uploaded", () => {
  const pull = "/moby.upload.v1.Upload/Pull";

  async function* body(...chunks: Buffer[]): AsyncGenerator<Uint8Array, void, undefined> {
    for (const chunk of chunks) yield await Promise.resolve(chunk);
  }

  async function* broken(): AsyncGenerator<Uint8Array, void, undefined> {
    yield Buffer.from("x");
    await Promise.reject(new Error("broken pipe"));
  }

  it("is fetched once, from its own address", async () => {
    const large = Buffer.alloc(700_000, "x");
    const uploads = uploadProvider(body(Buffer.from("first")), body(Buffer.of(), large));
    const daemon = connection(uploads.attachable);
    const fetch = async (url: string) => {
      assert.match(url, /^http:\/\/buildkit-session\/[0-9a-z]{25}$/);
      const { status, messages } = await daemon.call(pull, [], {
        urlpath: new URL(url).pathname,
        urlhost: "buildkit-session",
      });
      return { status, bytes: Buffer.concat(messages.map(bytesOf)) };
    };
    try {
      const [first = "", second = ""] = uploads.urls;
      assert.ok((await fetch(second)).bytes.equals(large));
      assert.equal((await fetch(first)).bytes.toString(), "first");
      assert.equal((await fetch(first)).status, 5);
      assert.equal((await fetch("http://buildkit-session/0000000000000000000000000")).status, 5);
    } finally {
      await daemon.close();
    }
  });

  it("fails when its source does", async () => {
    const { urls, attachable } = uploadProvider(broken());
    const daemon = connection(attachable);
    const { status } = await daemon.call(pull, [], { urlpath: new URL(urls[0] ?? "").pathname });
    await daemon.close();
    assert.equal(status, 13);
  });
});

describe("a message of bytes", () => {
  it("is read as it was written, at any length", () => {
    for (const length of [0, 1, 127, 128, 16_383, 16_384, 2_097_152]) {
      const data = Buffer.alloc(length, 7);
      assert.ok(bytesOf(Buffer.concat([bytesHead(length), data])).equals(data), `${length}`);
    }
    assert.equal(bytesOf(Buffer.alloc(0)).length, 0);
  });

  for (const hex of ["0a", "0a05", "0a0161ff", "12016a", "0affffffffff", "0a8080808001"]) {
    it(`is refused when it is ${hex}`, () => {
      assert.throws(() => bytesOf(Buffer.from(hex, "hex")), RangeError);
    });
  }
});

describe("a session that chooses exporters", () => {
  const find = "/moby.exporter.v1.Exporter/FindExporters";
  const finalize = "/moby.exporter.v1.Exporter/FinalizeExport";

  it("answers with exporters for what came out", async () => {
    const attachable = exporterSession({
      find: ({ metadata, refs }) =>
        Promise.resolve([
          {
            type: "image",
            attrs: { name: Buffer.from(metadata["k"] ?? []).toString(), n: `${refs.length}` },
          },
        ]),
    });
    const { messages } = await call(attachable, find, FindExportersRequestSchema, {
      metadata: { k: Buffer.from("v") },
      refs: ["a", "b"],
    });
    const { exporters } = fromBinary(FindExportersResponseSchema, messages[0] ?? Buffer.alloc(0));
    assert.deepEqual(
      exporters.map(({ type, attrs }) => ({ type, attrs })),
      [{ type: "image", attrs: { name: "v", n: "2" } }],
    );
    const without = await call(attachable, finalize, FinalizeExportRequestSchema, {});
    assert.equal(without.status, 12);
  });

  it("is told what the exporters answered", async () => {
    let told: Readonly<Record<string, string>> = {};
    const attachable = exporterSession({
      find: () => Promise.resolve([]),
      finalize: (response) => {
        told = response;
        return Promise.resolve();
      },
    });
    const request = { exporterResponse: { "containerimage.digest": "sha256:x" } };
    const { status } = await call(attachable, finalize, FinalizeExportRequestSchema, request);
    assert.deepEqual([status, told], [0, request.exporterResponse]);
  });
});

describe("a session that is asked for its source policy", () => {
  const path = "/moby.buildkit.v1.sourcepolicy.policysession.PolicyVerifier/CheckPolicy";
  const source = { identifier: "docker-image://docker.io/library/alpine:3", attrs: { a: "b" } };

  async function ask(answer: PolicyAnswer) {
    const asked: PolicyQuestion[] = [];
    const attachable = policySession((question) => {
      asked.push(question);
      return Promise.resolve(answer);
    });
    const { messages } = await call(attachable, path, CheckPolicyRequestSchema, {
      platform: { os: "linux", architecture: "arm64", variant: "v8" },
      source: { source, image: { digest: "sha256:x" } },
    });
    const { result } = fromBinary(CheckPolicyResponseSchema, messages[0] ?? Buffer.alloc(0));
    return { asked, result };
  }

  it("hears of the source, its platform and what is known of it", async () => {
    const { asked } = await ask({ action: "allow" });
    assert.equal(asked[0]?.platform, "linux/arm64/v8");
    assert.deepEqual({ ...asked[0]?.source }, source);
    assert.equal(asked[0]?.image?.digest, "sha256:x");
    assert.equal(asked[0]?.git, undefined);
  });

  it("allows, denies with reasons, and puts another source in its place", async () => {
    const decision = async (answer: PolicyAnswer) => {
      const { result } = await ask(answer);
      assert.ok(result.case === "decision");
      const { action, denyMessages, update } = result.value;
      const to = update && { identifier: update.identifier, attrs: update.attrs };
      return [action, denyMessages.map(({ message }) => message), to];
    };
    const other = { identifier: "docker-image://mirror/alpine:3", attrs: {} };
    assert.deepEqual(await decision({ action: "allow" }), [0, [], undefined]);
    assert.deepEqual(await decision({ action: "deny", messages: ["too old"] }), [
      1,
      ["too old"],
      undefined,
    ]);
    assert.deepEqual(await decision({ action: "convert", source: other }), [2, [], other]);
  });

  it("asks for more about the very same source", async () => {
    const { result } = await ask({
      action: "resolve",
      facts: { image: { attestationChain: true }, http: { algorithm: "sha512" } },
    });
    assert.ok(result.case === "request");
    assert.deepEqual(result.value.source?.attrs, source.attrs);
    assert.equal(result.value.source?.identifier, source.identifier);
    assert.equal(result.value.platform?.architecture, "arm64");
    assert.equal(result.value.image?.noConfig, true);
    assert.equal(result.value.image?.attestationChain, true);
    assert.equal(result.value.http?.checksum?.algo, 2);
  });
});
