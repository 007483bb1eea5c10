// The values of kiln solve's flags: read as buildctl reads them, refused with a sentence that names the flag.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { goBoolean } from "../../../src/buildrun/plan/csv.ts";
import { csvFields, csvPairs } from "../../../src/cli/csv.ts";
import { endpointOf } from "../../../src/cli/endpoint.ts";
import { exitCodeOf } from "../../../src/cli/failure.ts";
import { parseCache } from "../../../src/cli/solve/caches.ts";
import { dockerLogins, parseSecret, parseSsh } from "../../../src/cli/solve/credentials.ts";
import { withoutCache } from "../../../src/cli/solve/llb.ts";
import { metadataText } from "../../../src/cli/solve/metadata.ts";
import { parseAllow, parseFolders, parseOptions } from "../../../src/cli/solve/options.ts";
import { parseOutput } from "../../../src/cli/solve/outputs.ts";
import { parseSourcePolicy } from "../../../src/cli/solve/source-policy.ts";
import { parseSeconds, parseSize, tableText } from "../../../src/cli/table.ts";

/** A refusal that names its flag and ends the command with code 2. */
function refused(flag: string): (error: unknown) => boolean {
  return (error) =>
    error instanceof Error && error.message.startsWith(`${flag}: `) && exitCodeOf(error) === 2;
}

describe("a value of several attributes", () => {
  for (const [line, fields] of [
    ["type=image,push=true", ["type=image", "push=true"]],
    ['type=image,"name=a,b",push=true', ["type=image", "name=a,b", "push=true"]],
    ['"say=""hi"""', ['say="hi"']],
    ["a=,b", ["a=", "b"]],
    ["a=1,", ["a=1", ""]],
    ["", [""]],
    ['"a=1"\n', ["a=1"]],
  ] as const) {
    it(`is read as Go reads it: ${JSON.stringify(line)}`, () => {
      assert.deepEqual(csvFields("--output", line), fields);
    });
  }

  for (const line of ['name="a,b"', '"a=1"x', '"a=1', 'a,"'])
    it(`is refused as Go refuses it: ${line}`, () => {
      assert.throws(() => csvFields("--output", line), refused("--output"));
    });

  it("has keys in lower case, the last of which counts", () => {
    assert.deepEqual([...csvPairs("--x", "Type=a,TYPE=B=c")], [["type", "B=c"]]);
    assert.throws(() => csvPairs("--x", "type"), refused("--x"));
  });

  it("has the truths of Go", () => {
    assert.deepEqual(["1", "T", "true", "0", "False", "yes", "constructor"].map(goBoolean), [
      ...[true, true, true, false, false, undefined, undefined],
    ]);
  });
});

describe("kiln solve", () => {
  let folder: string;

  before(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), "kiln-cli-"));
    mkdirSync(path.join(folder, "sub"));
    writeFileSync(path.join(folder, "file"), "secret");
    writeFileSync(path.join(folder, "big"), Buffer.alloc(600 * 1024));
  });

  after(() => rmSync(folder, { recursive: true }));

  for (const [value, wanted] of [
    [
      "type=image,name=x,push=true",
      { type: "image", goes: "elsewhere", attrs: { name: "x", push: "true" } },
    ],
    ["type=local,dest=out", { type: "local", goes: "directory", dest: "out", attrs: {} }],
    ["type=local,dest=out,mode=delete", { goes: "directory", attrs: { mode: "delete" } }],
    ["type=tar,dest=out.tar", { goes: "file", dest: "out.tar" }],
    ["type=tar", { goes: "stdout" }],
    ["type=oci,dest=-", { goes: "stdout" }],
    ["type=oci,tar=false,dest=out", { goes: "layout", attrs: { tar: "false" } }],
    ["type=docker,dest=x,TAR=0", { goes: "layout" }],
  ] as const) {
    it(`takes the output ${value}`, () => {
      assert.partialDeepStrictEqual(parseOutput(value, false), wanted);
    });
  }

  for (const value of [
    ...["image", "name=x", "type=local", "type=oci,tar=false", "type=image,dest=x"],
    "type=tar,output=x",
  ])
    it(`refuses the output ${value}`, () => {
      assert.throws(() => parseOutput(value, false), refused("--output"));
    });

  it("refuses an output onto a folder, and onto a terminal", () => {
    assert.throws(() => parseOutput(`type=tar,dest=${folder}`, false), refused("--output"));
    assert.throws(() => parseOutput("type=tar", true), refused("--output"));
  });

  for (const [flag, value, wanted] of [
    [
      "--export-cache",
      "type=registry,ref=x",
      { type: "registry", attrs: { ref: "x", mode: "min" } },
    ],
    ["--export-cache", "host/name", { type: "registry", attrs: { ref: "host/name", mode: "min" } }],
    ["--export-cache", "type=inline", { type: "inline", attrs: { mode: "min" } }],
    ["--import-cache", "type=local,src=d", { type: "local", attrs: { src: "d" } }],
    [
      "--import-cache",
      "type=gha,scope=s",
      { type: "gha", attrs: { scope: "s", token: "t", url: "https://u", url_v2: "https://u" } },
    ],
  ] as const) {
    it(`takes ${flag} ${value}`, () => {
      const environment = {
        ...{ ACTIONS_RESULTS_URL: "https://u", ACTIONS_RUNTIME_TOKEN: "t" },
        ACTIONS_CACHE_SERVICE_V2: "true",
      };
      assert.deepEqual(parseCache(flag, value, environment), wanted);
    });
  }

  for (const value of ["type=registry", "type=local", "type=gha", "type="])
    it(`refuses the caches ${value}`, () => {
      for (const flag of ["--export-cache", "--import-cache"] as const)
        assert.throws(() => parseCache(flag, value, {}), refused(flag));
    });

  it("takes build arguments from the environment when they have no value", () => {
    const environment = { SET: "1", SOURCE_DATE_EPOCH: "7" };
    const values = ["build-arg:SET", "build-arg:UNSET", "build-arg:E=", "target=x=y", "target=z"];
    assert.deepEqual(parseOptions(values, environment), {
      ...{ "build-arg:SOURCE_DATE_EPOCH": "7", "build-arg:SET": "1", "build-arg:E": "" },
      target: "z",
    });
    assert.throws(() => parseOptions(["target"], {}), refused("--opt"));
  });

  it("makes folders absolute and refuses what is none", () => {
    const relative = path.relative(process.cwd(), folder);
    assert.equal(parseFolders("--local", [`context=${relative}`]).get("context"), folder);
    for (const value of ["context", `a=${folder}/none`, `a=${folder}/file`])
      assert.throws(() => parseFolders("--local", [value]), refused("--local"));
  });

  it("allows what a daemon could allow", () => {
    const good = ["network.host", "security.insecure", "device", "device=a.b/c=d,alias=x"];
    assert.deepEqual(parseAllow(good), good);
    for (const value of ["network", "network.host=x", "device=a,b=c"])
      assert.throws(() => parseAllow([value]), refused("--allow"));
  });

  it("finds secrets in files and in the environment", () => {
    const file = path.join(folder, "file");
    for (const [value, source] of [
      [`id=a,src=${file}`, { file }],
      [`type=file,id=a,source=${file}`, { file }],
      ["id=a,env=B", { env: "B" }],
      ["type=env,id=a,src=B", { env: "B" }],
      [`id=a,src=${file},env=B`, { env: "B" }],
      ["id=SET", { env: "SET" }],
      [`id=${file}`, { file }],
    ] as const) {
      const [, found] = parseSecret(value, { SET: "1" });
      assert.deepEqual(found, source, value);
    }
  });

  it("refuses secrets that are not there or too big, and fields that are none", () => {
    for (const value of [
      ...["src=x", "id=a", "id=a,type=x,env=b", "id=a,evn=b", "id=a,src=/nowhere/x"],
      `id=a,src=${path.join(folder, "big")}`,
    ])
      assert.throws(() => parseSecret(value, {}), refused("--secret"), value);
  });

  it("reads what stands behind an SSH id", () => {
    const file = path.join(folder, "file");
    const agent = { SSH_AUTH_SOCK: "/agent" };
    assert.deepEqual(parseSsh("default", agent), ["default", { agent: "/agent" }]);
    assert.deepEqual(parseSsh("=", agent), ["default", { agent: "/agent" }]);
    assert.deepEqual(parseSsh("x=/s,raw=true", agent), ["x", { raw: "/s" }]);
    assert.deepEqual(parseSsh(`x=${file},${file}`, {}), [
      "x",
      [Buffer.from("secret"), Buffer.from("secret")],
    ]);
    for (const value of ["default", "x=raw=true", "x=/a,/b,raw=true", "x=/none", "x=/a,raw=maybe"])
      assert.throws(() => parseSsh(value, {}), refused("--ssh"), value);
  });

  it("knows no login where there is no config, and those of the config that there is", () => {
    assert.equal(dockerLogins({ DOCKER_CONFIG: "/nowhere" }).size, 0);
    const auth = Buffer.from("u:p").toString("base64");
    writeFileSync(path.join(folder, "config.json"), `{"auths":{"host":{"auth":"${auth}"}}}`);
    const expected = { kind: "basic", username: "u", password: "p" };
    assert.deepEqual(dockerLogins({ DOCKER_CONFIG: folder }).get("host"), expected);
  });

  it("takes source policies with enums by name, by number and left out", () => {
    const json = JSON.stringify({
      version: 1,
      rules: [
        { action: "DENY", selector: { identifier: "a", matchType: "EXACT" } },
        { selector: { identifier: "b" } },
        {
          action: 2,
          selector: {
            identifier: "c",
            constraints: [{ key: "k", value: "v", condition: "NOTEQUAL" }],
          },
          updates: { identifier: "d", attrs: { e: "f" } },
        },
      ],
    });
    assert.deepEqual(parseSourcePolicy(json).rules, [
      { action: "deny", selector: { identifier: "a", match: "exact" } },
      { action: "allow", selector: { identifier: "b", match: "wildcard" } },
      {
        action: "convert",
        selector: {
          ...{ identifier: "c", match: "wildcard" },
          constraints: [{ key: "k", value: "v", condition: "notEqual" }],
        },
        updates: { identifier: "d", attrs: { e: "f" } },
      },
    ]);
    for (const bad of [
      "x",
      "[]",
      '{"rules":{}}',
      '{"rules":[{"selector":{},"action":"x"}]}',
      '{"rules":[{}]}',
    ])
      assert.throws(() => parseSourcePolicy(bad), refused("--source-policy-file"), bad);
  });

  it("writes metadata with what is encoded made readable", () => {
    const encode = (value: unknown): string =>
      Buffer.from(JSON.stringify(value)).toString("base64");
    const text = metadataText({
      b: encode({ x: 1 }),
      a: "sha256:1",
      c: encode([1]),
      d: "",
      e: encode({}),
    });
    assert.deepEqual(Object.keys(JSON.parse(text) as object), ["a", "b", "c", "d", "e"]);
    assert.deepEqual(JSON.parse(text), {
      ...{ a: "sha256:1", b: { x: 1 }, c: encode([1]), d: "", e: encode({}) },
    });
  });

  it("marks each operation of LLB to run again, and keeps the rest of it", () => {
    const [op, other] = [Buffer.from("operation"), Buffer.from("other")];
    const digest = (bytes: Buffer): string =>
      `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    const entry = (key: string, value: Uint8Array): Uint8Array =>
      new BinaryWriter()
        .tag(1, WireType.LengthDelimited)
        .string(key)
        .tag(2, WireType.LengthDelimited)
        .bytes(value)
        .finish();
    const definition = new BinaryWriter();
    for (const bytes of [op, other]) definition.tag(1, WireType.LengthDelimited).bytes(bytes);
    const caps = Uint8Array.of(0x2a, 0x00);
    definition.tag(2, WireType.LengthDelimited).bytes(entry(digest(op), caps));
    const expected = new BinaryWriter();
    for (const bytes of [op, other]) expected.tag(1, WireType.LengthDelimited).bytes(bytes);
    const marked = (before: Uint8Array): Uint8Array =>
      Buffer.concat([before, Buffer.of(0x08, 0x01)]);
    for (const [key, value] of [
      [digest(op), marked(caps)],
      [digest(other), marked(new Uint8Array())],
    ] as const)
      expected.tag(2, WireType.LengthDelimited).bytes(entry(key, value));
    assert.deepEqual(
      Buffer.from(withoutCache(definition.finish())).toString("hex"),
      Buffer.from(expected.finish()).toString("hex"),
    );
  });
});

describe("where a buildkitd is", () => {
  it("is what --addr says, with TLS when any of its flags is there", () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), "kiln-tls-"));
    try {
      for (const name of ["ca.crt", "tls.crt", "tls.key"])
        writeFileSync(path.join(folder, name), name);
      const addr = "tcp://h:1";
      const bytes = {
        ca: Buffer.from("ca.crt"),
        cert: Buffer.from("tls.crt"),
        key: Buffer.from("tls.key"),
      };
      const where = { kind: "tcp", host: "h", port: 1 };
      assert.deepEqual(endpointOf({ addr }), where);
      assert.deepEqual(endpointOf({ addr, tlsdir: folder, tlsservername: "n" }), {
        ...where,
        tls: { ...bytes, serverName: "n" },
      });
      const ca = path.join(folder, "ca.crt");
      assert.deepEqual(endpointOf({ addr, tlscacert: ca }), { ...where, tls: { ca: bytes.ca } });
      assert.throws(() => endpointOf({ addr, tlsdir: folder, tlscert: ca }), refused("--tlsdir"));
      assert.throws(() => endpointOf({ addr, tlsdir: "/nowhere" }), refused("--tlsdir"));
      assert.throws(() => endpointOf({ addr, tlscert: ca }), refused("--tlscert"));
      assert.throws(() => endpointOf({ addr, tlscacert: "/none" }), refused("--tlscacert"));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("tables and amounts", () => {
  it("line up without spaces at the end", () => {
    assert.equal(
      tableText(
        ["A", "LONG"],
        [
          ["bbb", ""],
          ["c", "d"],
        ],
      ),
      "A    LONG\nbbb\nc    d\n",
    );
  });

  it("read sizes and times as people write them", () => {
    assert.deepEqual(
      ["10GB", "1.5kB", "2MiB", "7"].map((text) => parseSize("--x", text)),
      [...[10e9, 1500, 2 * 2 ** 20, 7]],
    );
    assert.deepEqual(
      ["24h", "1h30m", "7d"].map((text) => parseSeconds("--x", text)),
      [...[86_400, 5_400, 604_800]],
    );
    for (const text of ["", "x", "1XB"])
      assert.throws(() => parseSize("--x", text), refused("--x"));
    for (const text of ["", "5", "h"])
      assert.throws(() => parseSeconds("--x", text), refused("--x"));
  });
});
