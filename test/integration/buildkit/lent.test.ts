// What a session lends to a build, against a real buildkitd: contexts from layouts and streams, sockets, decisions.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  createReadStream,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import path from "node:path";
import { Readable } from "node:stream";
import {
  contentProvider,
  exporterSession,
  exportReceiver,
  layoutExport,
  ociLayoutContext,
  policySession,
  sshProvider,
  toDirectory,
  toFile,
  uploadProvider,
  type Attachable,
  type PolicyAnswer,
  type PolicyQuestion,
} from "../../../src/buildkit/index.ts";
import { daemonPlace } from "./daemon-place.ts";
import { build } from "./outputs.ts";
import { deadline, failure, printed } from "./solving.ts";

const openSocket =
  "use IO::Socket::UNIX; $s = IO::Socket::UNIX->new($ENV{SSH_AUTH_SOCK}) or die; $| = 1;";
/** Prints the comments of the keys, and the answer to the request that adds one. */
const ask = `${openSocket} sub one { syswrite($s, pack("NC", 1, $_[0])); sysread($s, $n, 4); sysread($s, $b, unpack("N", $n)); return $n . $b } one(11) =~ /(lent)/; print "$1 ", unpack("H*", one(17)), chr 10`;
const talk = `${openSocket} print $s "question"; print <$s>`;

describe("what a session lends to a build", () => {
  const place = daemonPlace("lent");
  const at = (...names: string[]): string => place.at(...names);

  describe("an OCI layout", () => {
    async function layout(text: string): Promise<void> {
      const made = await layoutExport(at("layout"));
      const result = await build(place.client, {
        dockerfile: `FROM busybox\nRUN echo ${text} > /made\n`,
        request: { exporters: [made.exporter] },
        attachables: [contentProvider(made.use)],
      });
      await made.afterSolve(result);
    }

    it("is a base image", async () => {
      await layout("in a layout");
      await place.daemon.buildctl(["prune", "--all"]);
      const base = await ociLayoutContext("base", at("layout"));
      const { seen, onEvent } = printed("in a layout");
      await build(place.client, {
        dockerfile: "FROM base\nRUN cat /made\n",
        request: { frontendAttrs: base.frontendAttrs },
        attachables: [contentProvider(base.use)],
        onEvent,
      });
      await seen;
    });

    it("of which two are lent at once, and files are copied", async () => {
      await layout("one");
      const [a, b] = [
        await ociLayoutContext("a", at("layout"), { tag: "latest" }),
        await ociLayoutContext("b", at("layout")),
      ];
      await build(place.client, {
        dockerfile: "FROM scratch\nCOPY --from=a /made /a\nCOPY --from=b /made /b\n",
        request: {
          frontendAttrs: { ...a.frontendAttrs, ...b.frontendAttrs },
          exporters: [{ type: "local", attrs: {} }],
        },
        attachables: [contentProvider(a.use, b.use), exportReceiver({ 0: toDirectory(at("out")) })],
      });
      assert.deepEqual(readdirSync(at("out")), ["a", "b"]);
    });

    it("fails the build when a blob of it is another's", async () => {
      await layout("to be broken");
      await place.daemon.buildctl(["prune", "--all"]);
      const base = await ociLayoutContext("base", at("layout"));
      const blob = (digest: string): string => at("layout/blobs", digest.replace(":", "/"));
      const [, manifest = ""] = (base.frontendAttrs["context:base"] ?? "").split("@");
      const { layers } = JSON.parse(readFileSync(blob(manifest), "utf8")) as {
        layers: { digest: string }[];
      };
      // The layer of this test alone: a daemon that got a wrong one does not get over it.
      const layer = blob(layers.at(-1)?.digest ?? "");
      rmSync(layer);
      writeFileSync(layer, "other bytes");
      const error = await failure(
        build(place.client, {
          dockerfile: "FROM base\nRUN cat /made\n",
          request: { frontendAttrs: base.frontendAttrs },
          attachables: [contentProvider(base.use)],
        }),
      );
      assert.match(error.message, /unexpected commit|unsupported offset/);
    });
  });

  describe("a stream", () => {
    async function solveContext(
      body: AsyncIterable<Uint8Array>,
      attrs: Record<string, string> = {},
    ): Promise<string[]> {
      const { urls, attachable } = uploadProvider(body);
      await place.client.solve(
        {
          ref: `upload-${path.basename(place.folder)}-${urls[0]?.slice(-8) ?? ""}`,
          frontend: "dockerfile.v0",
          frontendAttrs: { context: urls[0] ?? "", ...attrs },
          exporters: [{ type: "local", attrs: {} }],
          cacheImports: [],
          cacheExports: [],
        },
        {
          attachables: [attachable, exportReceiver({ 0: toDirectory(at("out")) })],
          onEvent: () => undefined,
          signal: deadline(),
        },
      );
      return readdirSync(at("out")).sort();
    }

    it("is a context when it is a tar", async () => {
      mkdirSync(at("context"));
      writeFileSync(at("context/Dockerfile"), "FROM scratch\nCOPY large /\n");
      writeFileSync(at("context/large"), Buffer.alloc(3_000_000, "x"));
      execFileSync("tar", ["-C", at("context"), "-czf", at("context.tgz"), "."]);
      assert.deepEqual(await solveContext(createReadStream(at("context.tgz"))), ["large"]);
    });

    it("is the Dockerfile when it is one", async () => {
      const dockerfile =
        "FROM busybox AS b\nRUN echo x > /made\nFROM scratch\nCOPY --from=b /made /\n";
      assert.deepEqual(await solveContext(Readable.from([Buffer.from(dockerfile)])), ["made"]);
    });

    it("fails the build when it breaks off", async () => {
      async function* broken(): AsyncGenerator<Uint8Array, void, undefined> {
        yield Buffer.from("FROM scratch\n");
        await Promise.reject(new Error("the pipe broke"));
      }
      const error = await failure(solveContext(broken()));
      assert.match(error.message, /the pipe broke/);
    });
  });

  describe("a socket", () => {
    let server: Server | undefined;

    afterEach(
      () =>
        new Promise<void>((resolve) =>
          server === undefined ? resolve() : server.close(() => resolve()),
        ),
    );

    it("that is an agent's: its keys are listed, and no key is added", async () => {
      const socket = at("agent");
      execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", at("key"), "-C", "lent"]);
      const started = execFileSync("ssh-agent", ["-a", socket]).toString();
      const pid = Number(/SSH_AGENT_PID=(\d+)/.exec(started)?.[1]);
      try {
        execFileSync("ssh-add", ["-q", at("key")], {
          env: { ...process.env, SSH_AUTH_SOCK: socket },
        });
        const list = execFileSync("ssh-add", ["-L"], {
          env: { SSH_AUTH_SOCK: socket, PATH: process.env["PATH"] },
        });
        const { seen, onEvent } = printed("lent 0000000105");
        await build(place.client, {
          // 11 lists keys; 17 adds one, to which the agent in between says no (5).
          dockerfile: `FROM debian:bookworm-slim\nRUN --mount=type=ssh,required=true perl -e '${ask}'\n`,
          attachables: [sshProvider({ default: { agent: socket } })],
          onEvent,
        });
        await seen;
        assert.equal(
          execFileSync("ssh-add", ["-L"], {
            env: { SSH_AUTH_SOCK: socket, PATH: process.env["PATH"] },
          }).toString(),
          list.toString(),
        );
      } finally {
        process.kill(pid);
      }
    });

    it("that is any service's", async () => {
      server = createServer((peer) => {
        peer.on("error", () => {});
        peer.on("data", (chunk: Buffer) => peer.end(`answer to ${chunk.toString()}\n`));
      });
      await new Promise<void>((resolve) => server?.listen(at("service"), resolve));
      const { seen, onEvent } = printed("answer to question");
      await build(place.client, {
        dockerfile: `FROM debian:bookworm-slim\nRUN --mount=type=ssh,id=svc perl -e '${talk}'\n`,
        attachables: [sshProvider({ svc: { raw: at("service") } })],
        onEvent,
      });
      await seen;
    });

    it("that nobody listens on fails the build at once", async () => {
      const error = await failure(
        build(place.client, {
          dockerfile: "FROM busybox\nRUN --mount=type=ssh,required=true true\n",
          attachables: [sshProvider({ default: { agent: at("none") } })],
        }),
      );
      assert.match(error.message, /socket behind this ssh id does not answer: ENOENT/);
    });
  });

  describe("decisions", () => {
    it("about exporters, when the build is done", async () => {
      let answered: Readonly<Record<string, string>> = {};
      const choice = exporterSession({
        find: ({ metadata, refs }) => {
          assert.equal(refs.length, 1);
          assert.ok("containerimage.config" in metadata);
          return Promise.resolve([{ type: "oci", attrs: { name: "docker.io/library/late:1" } }]);
        },
        finalize: (response) => {
          answered = response;
          return Promise.resolve();
        },
      });
      await build(place.client, {
        dockerfile: "FROM busybox\n",
        request: { enableSessionExporter: true },
        attachables: [choice, exportReceiver({ 0: toFile(at("late.tar")) })],
      });
      assert.equal(answered["image.name"], "docker.io/library/late:1");
      assert.match(execFileSync("tar", ["-tf", at("late.tar")]).toString(), /index\.json/);
    });

    async function decided(
      answer: (question: PolicyQuestion) => PolicyAnswer,
    ): Promise<PolicyQuestion[]> {
      const asked: PolicyQuestion[] = [];
      const policy: Attachable = policySession((question) => {
        asked.push(question);
        const isImage = question.source.identifier.startsWith("docker-image://");
        return Promise.resolve(isImage ? answer(question) : { action: "allow" });
      });
      await build(place.client, {
        dockerfile: "FROM busybox\nRUN echo allowed\n",
        request: { sourcePolicySession: true },
        attachables: [policy],
      });
      return asked;
    }

    it("about sources: allowed", async () => {
      const asked = await decided(() => ({ action: "allow" }));
      const image = asked.find(({ source }) => source.identifier.includes("library/busybox"));
      assert.equal(image?.platform, "linux/amd64");
    });

    it("about sources: denied, with the reason", async () => {
      const error = await failure(decided(() => ({ action: "deny", messages: ["too old"] })));
      assert.equal(error.class, "Policy", error.message);
    });

    it("about sources: another one instead", async () => {
      const asked = await decided(({ source }) =>
        source.identifier.includes("busybox:latest")
          ? {
              action: "convert",
              source: {
                identifier: "docker-image://docker.io/library/debian:bookworm-slim",
                attrs: source.attrs,
              },
            }
          : { action: "allow" },
      );
      assert.ok(asked.some(({ source }) => source.identifier.includes("debian")));
    });

    it("about sources: after more was told", async () => {
      const asked = await decided(({ image }) =>
        image === undefined
          ? { action: "resolve", facts: { image: { config: true } } }
          : { action: "allow" },
      );
      const told = asked.find(({ image }) => image !== undefined)?.image;
      assert.match(told?.digest ?? "", /^sha256:/);
      assert.match(Buffer.from(told?.config ?? []).toString(), /"architecture"/);
    });
  });
});
