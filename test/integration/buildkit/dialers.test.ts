// Every way to a daemon: the same calls and the same build over each, and what becomes of a way that goes dead.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { Duplex } from "node:stream";
import { Control } from "../../../src/gen/moby/buildkit/v1/control_pb.ts";
import {
  connect,
  type Endpoint,
  filesync,
  inMemoryTree,
  parseEndpoint,
} from "../../../src/buildkit/index.ts";
import { Http2Channel } from "../../../src/buildkit/rpc/http2-channel.ts";
import { linkTo } from "../../../src/buildkit/rpc/sockets.ts";
import { transportOf } from "../../../src/buildkit/transport.ts";
import {
  baseImages,
  type BaseImages,
  buildctlPath,
  type Buildkitd,
  buildkitd,
  scratch,
  type Scratch,
  waitFor,
} from "../../cluster/index.ts";
import { engine, type Engine } from "./engine.ts";
import { proxy } from "./proxy.ts";
import { deadline, failure, solve } from "./solving.ts";

const dockerfile = "FROM busybox\nCOPY a.txt /\nRUN cat /a.txt\n";

function socketOf(daemon: Buildkitd): string {
  return daemon.address.slice("unix://".length);
}

describe("the ways to a buildkitd", () => {
  let images: BaseImages;
  let plain: Buildkitd;
  let secure: Buildkitd;
  let place: Scratch;
  let docker: Engine;
  let buildctl: string;

  before(async () => {
    images = await baseImages();
    [plain, secure] = await Promise.all([
      buildkitd({ mirror: images }),
      buildkitd({ mirror: images, tls: true }),
    ]);
    buildctl = await buildctlPath();
    place = scratch("dialers");
    docker = await engine(path.join(place.folder, "docker.sock"), socketOf(plain));
  });

  after(async () => {
    await docker.stop();
    await Promise.all([plain.stop(), secure.stop()]);
    await images.stop();
    place.remove();
  });

  const pem = (name: "ca" | "cert" | "key"): Buffer => readFileSync(secure.tls?.[name] ?? "");
  const mutual = (): Endpoint =>
    parseEndpoint(secure.address, { ca: pem("ca"), cert: pem("cert"), key: pem("key") });
  const stdio = (): Endpoint => ({
    kind: "stream",
    name: "dial-stdio",
    dial: () => {
      const child = spawn(buildctl, ["--addr", plain.address, "dial-stdio"], {
        stdio: ["pipe", "pipe", "inherit"],
      });
      const stream = Duplex.from({ readable: child.stdout, writable: child.stdin });
      stream.on("close", () => child.kill());
      return Promise.resolve(stream);
    },
  });

  const ways: [sentence: string, endpoint: () => Endpoint][] = [
    ["a unix socket", () => parseEndpoint(plain.address)],
    ["TCP with a client's certificate", mutual],
    [
      "TLS under another name of the server",
      () => ({
        ...(mutual() as Extract<Endpoint, { kind: "tcp" }>),
        tls: { ca: pem("ca"), cert: pem("cert"), key: pem("key"), serverName: "localhost" },
      }),
    ],
    ["the stdio of a process", stdio],
    ["Docker's API", () => ({ kind: "docker", engine: { kind: "unix", path: docker.path } })],
  ];
  for (const [sentence, endpoint] of ways) {
    it(`builds over ${sentence}`, async () => {
      const client = connect(endpoint());
      try {
        assert.match((await client.info(deadline())).version, /^0\.34\./);
        const files = inMemoryTree(
          new Map([
            ["Dockerfile", { data: dockerfile }],
            ["a.txt", { data: sentence }],
          ]),
        );
        let output = "";
        await solve(client, undefined, {
          attachables: [filesync({ dockerfile: files, context: files })],
          onEvent: (event) => {
            if (event.kind === "log") output += Buffer.from(event.data).toString();
          },
        });
        assert.match(output, new RegExp(sentence));
      } finally {
        client.close();
      }
    });
  }

  it("builds over TCP", async () => {
    const way = await proxy(socketOf(plain));
    const client = connect(parseEndpoint(`tcp://127.0.0.1:${way.port}`));
    try {
      await solve(client, "FROM busybox\nRUN echo over tcp\n");
    } finally {
      client.close();
      await way.stop();
    }
  });

  it("asks Docker for both of its paths", () => {
    assert.ok(docker.asked.includes("POST /grpc"));
    assert.ok(docker.asked.includes("POST /session"));
  });

  const refused: [sentence: string, endpoint: () => Endpoint, says: RegExp][] = [
    [
      "a socket where nobody listens",
      () => parseEndpoint(`unix://${place.folder}/none.sock`),
      /ENOENT/,
    ],
    [
      "a server without our certificate",
      () => parseEndpoint(secure.address, { ca: pem("ca") }),
      /./,
    ],
    [
      "a server with another name",
      () =>
        parseEndpoint(secure.address, {
          ca: pem("ca"),
          cert: pem("cert"),
          key: pem("key"),
          serverName: "other.example",
        }),
      /other\.example/,
    ],
    [
      "a stream that can't be opened",
      () => ({ kind: "stream", name: "x", dial: () => Promise.reject(new Error("no such pod")) }),
      /no such pod/,
    ],
  ];
  for (const [sentence, endpoint, says] of refused) {
    it(`says whose move it is for ${sentence}`, async () => {
      const transport = transportOf(endpoint());
      try {
        const attempt = transport.channel.unary(Control.method.info, {}, { signal: deadline() });
        const error: unknown = await attempt.catch((reason: unknown) => reason);
        assert.equal((error as { code?: unknown }).code, 14);
        assert.match(String(error), says);
      } finally {
        transport.close();
      }
    });
  }

  it("dials anew after a break", async () => {
    const way = await proxy(socketOf(plain));
    const channel = new Http2Channel(linkTo(parseEndpoint(`tcp://127.0.0.1:${way.port}`)));
    try {
      const info = () => channel.unary(Control.method.info, {}, { signal: deadline() });
      await info();
      way.reset();
      await waitFor("another connection", info, { deadlineMs: 10_000 });
    } finally {
      channel.close();
      await way.stop();
    }
  });

  it("gives up on a peer that is silent while it is dialled", async () => {
    const channel = new Http2Channel(
      linkTo(
        { kind: "stream", name: "x", dial: () => new Promise(() => {}) },
        { dialDeadlineMs: 50 },
      ),
    );
    const attempt = channel.unary(Control.method.info, {}, { signal: deadline() });
    await assert.rejects(attempt, { code: 14, details: /too long/ });
    channel.close();
  });

  it("notices that the way has gone dead, though nobody says so", async () => {
    const way = await proxy(socketOf(plain));
    const keepalive = { idleMs: 500, answerMs: 500, politeMs: 60_000 };
    const endpoint = parseEndpoint(`tcp://127.0.0.1:${way.port}`);
    const transport = transportOf(endpoint, { keepalive });
    try {
      const session = transport.openSession({ attachables: [] });
      const { channel } = transport;
      await channel.unary(Control.method.info, {}, { signal: deadline() });
      const watching = (async () => {
        for await (const _ of channel.serverStream(
          Control.method.listenBuildHistory,
          {},
          { signal: deadline() },
        ));
      })();
      way.freeze();
      await assert.rejects(watching, { code: 14, details: /silent for 1000 ms/ });
      assert.match(String(await session.ended), /silent/);
      await session.close();
    } finally {
      transport.close();
      await way.stop();
    }
  });

  it("says what an engine that has no BuildKit answers", async () => {
    const client = connect({
      kind: "docker",
      engine: { kind: "unix", path: socketOf(plain) },
    });
    try {
      const error = await failure(client.info(deadline()));
      assert.equal(error.class, "Builder");
    } finally {
      client.close();
    }
  });
});
