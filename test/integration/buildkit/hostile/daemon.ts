// A scriptable buildkitd: a gRPC server that behaves like one, except where a test tells it not to.
// Over node:http2 and not grpc-js, whose server cannot break its own rules.
import { createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import type { Endpoint } from "../../../../src/buildkit/index.ts";
import { Content } from "../../../../src/gen/containerd/services/content/v1/content_pb.ts";
import {
  BuildHistoryRequestSchema,
  Control,
  SolveRequestSchema,
  StatusRequestSchema,
  StatusResponseSchema,
  type SolveRequest,
} from "../../../../src/gen/moby/buildkit/v1/control_pb.ts";
import { daemonCall, type DaemonCall } from "./grpc-call.ts";
import { sessionPeer, type SessionPeer } from "./session-peer.ts";

const methods = {
  info: Control.method.info,
  listWorkers: Control.method.listWorkers,
  solve: Control.method.solve,
  status: Control.method.status,
  session: Control.method.session,
  listenBuildHistory: Control.method.listenBuildHistory,
  updateBuildHistory: Control.method.updateBuildHistory,
  read: Content.method.read,
} as const;

/** The calls that a daemon answers. */
export type CallName = keyof typeof methods;

/** What this daemon does. */
export interface Script {
  /** The build: runs when a solve has come and its session is there. The result is the exporter response. */
  readonly build?: (session: SessionPeer, request: SolveRequest) => Promise<Record<string, string>>;
  /** The status stream of a solve, instead of an empty one. `tell` waits for slow readers, and takes encoded messages. */
  readonly progress?: (
    tell: (status: MessageInitShape<typeof StatusResponseSchema> | Uint8Array) => Promise<void>,
  ) => Promise<void>;
  /** What these calls do instead. */
  readonly calls?: Partial<Record<CallName, (call: DaemonCall) => void>>;
  /** HTTP/2 settings of the server. */
  readonly settings?: { readonly initialWindowSize?: number };
}

/** A running daemon. */
export interface HostileDaemon {
  readonly endpoint: Endpoint;
  /** Connections that clients hold open now. */
  readonly connections: ReadonlySet<ServerHttp2Session>;
  /** How often each call has come. */
  arrived(name: CallName): number;
  stop(): Promise<void>;
}

function answer(call: DaemonCall, message: Uint8Array): void {
  void call.send(message);
  call.end();
}

/** Sessions by id and solves by ref. */
class Builds {
  readonly #script: Script;
  readonly #sessions = new Map<string, PromiseWithResolvers<SessionPeer>>();
  readonly #solves = new Map<string, PromiseWithResolvers<void>>();

  constructor(script: Script) {
    this.#script = script;
  }

  session(call: DaemonCall): void {
    const peer = sessionPeer(call);
    this.#promised(this.#sessions, peer.id).resolve(peer);
    // As buildkitd does: after the client's half-close the connection inside ends, then the call.
    call.stream.once("end", () => {
      peer.http.destroy();
      void call.send(Buffer.alloc(0));
      call.end();
    });
    call.stream.once("close", () => peer.http.destroy());
  }

  async solve(call: DaemonCall): Promise<void> {
    const request = fromBinary(SolveRequestSchema, await call.request);
    const over = this.#promised(this.#solves, request.ref);
    try {
      const session = await this.#promised(this.#sessions, request.session).promise;
      const exporterResponse = (await this.#script.build?.(session, request)) ?? {};
      const schema = Control.method.solve.output;
      answer(call, toBinary(schema, create(schema, { exporterResponse })));
    } catch (error) {
      call.end(2, error instanceof Error ? error.message : "failed");
    } finally {
      over.resolve();
    }
  }

  async status(call: DaemonCall): Promise<void> {
    const { ref } = fromBinary(StatusRequestSchema, await call.request);
    await this.#script.progress?.(async (status) => {
      if (call.stream.destroyed) throw new Error("the client left");
      const encoded =
        status instanceof Uint8Array
          ? status
          : toBinary(StatusResponseSchema, create(StatusResponseSchema, status));
      await call.send(encoded);
    });
    await this.#promised(this.#solves, ref).promise;
    call.end();
  }

  #promised<T>(all: Map<string, PromiseWithResolvers<T>>, key: string): PromiseWithResolvers<T> {
    const there = all.get(key) ?? Promise.withResolvers<T>();
    all.set(key, there);
    return there;
  }
}

async function listen(call: DaemonCall): Promise<void> {
  const { ref } = fromBinary(BuildHistoryRequestSchema, await call.request);
  const schema = Control.method.listenBuildHistory.output;
  answer(call, toBinary(schema, create(schema, { type: 1, record: { ref } })));
}

function behaviours(builds: Builds): Record<CallName, (call: DaemonCall) => void> {
  const info = Control.method.info.output;
  const workers = Control.method.listWorkers.output;
  const read = Content.method.read.output;
  return {
    info: (call) =>
      answer(call, toBinary(info, create(info, { buildkitVersion: { version: "v0.34.2" } }))),
    listWorkers: (call) =>
      answer(call, toBinary(workers, create(workers, { record: [{ id: "w" }] }))),
    solve: (call) => void builds.solve(call),
    status: (call) => void builds.status(call).catch(() => call.end()),
    session: (call) => builds.session(call),
    listenBuildHistory: (call) => void listen(call),
    updateBuildHistory: (call) => answer(call, Buffer.alloc(0)),
    read: (call) => answer(call, toBinary(read, create(read, { data: Buffer.from("blob") }))),
  };
}

/** Starts a daemon on a free port of this machine. */
export async function hostileDaemon(script: Script = {}): Promise<HostileDaemon> {
  const does = { ...behaviours(new Builds(script)), ...script.calls };
  const arrived = new Map<string, number>();
  const connections = new Set<ServerHttp2Session>();
  const byPath = new Map(
    (Object.keys(methods) as CallName[]).map((name) => [
      `/${methods[name].parent.typeName}/${methods[name].name}`,
      name,
    ]),
  );
  const server: Http2Server = createServer({
    settings: { ...script.settings, maxConcurrentStreams: 10_000 },
  });
  // What a session hides: the listener that makes the session of a socket runs after this one.
  let latest: Socket | undefined;
  const sockets = new WeakMap<object, Socket>();
  server.prependListener("connection", (socket: Socket) => void (latest = socket));
  server.on("session", (session) => {
    if (latest !== undefined) sockets.set(session, latest);
    connections.add(session);
    session.on("error", () => {}); // clients leave when they like
    session.once("close", () => connections.delete(session));
  });
  server.on("stream", (stream, headers) => {
    const call = daemonCall(stream, headers, stream.session && sockets.get(stream.session));
    const name = byPath.get(headers[":path"] ?? "");
    if (name === undefined) {
      call.end(12, "unknown method");
      return;
    }
    arrived.set(name, (arrived.get(name) ?? 0) + 1);
    does[name](call);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: { kind: "tcp", host: "127.0.0.1", port },
    connections,
    arrived: (name) => arrived.get(name) ?? 0,
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const session of connections) session.destroy();
      await closed;
    },
  };
}
