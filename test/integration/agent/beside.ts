// A real `kiln agent` beside a real buildkitd, with certificates of an authority of the test, and the controller's end.

import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Job, JobEvent, JobOutcome } from "../../../src/agent/agent.ts";
import { Sealed } from "../../../src/agent/sealed.ts";
import { RemoteAgent } from "../../../src/agent/wire/remote.ts";
import {
  type Authority,
  issueClient,
  issueServer,
  newAuthority,
} from "../../../src/builder/pki/authority.ts";
import type { Endpoint, TlsMaterial } from "../../../src/buildkit/index.ts";
import { type RunningProcess, start } from "../../cluster/base/process.ts";
import {
  type Buildkitd,
  freePort,
  repositoryRoot,
  type Scratch,
  scratch,
  waitFor,
} from "../../cluster/index.ts";

/** The name in the server's certificate, and the one that the controller checks. */
export const pattern = "*.shop.builders.kiln.build";
export const serverName = "builder-main.shop.builders.kiln.build";
export const never: AbortSignal = new AbortController().signal;

/** An agent's process and what it works in. */
export class Beside {
  readonly buildkitd: Buildkitd;
  readonly place: Scratch;
  readonly port: number;
  authority: Authority;
  process!: RunningProcess;
  readonly #remotes: RemoteAgent[] = [];
  #starts = 0;

  private constructor(daemon: Buildkitd, place: Scratch, port: number, authority: Authority) {
    this.buildkitd = daemon;
    this.place = place;
    this.port = port;
    this.authority = authority;
  }

  static async start(daemon: Buildkitd, o: { graceSeconds?: number } = {}): Promise<Beside> {
    const authority = await newAuthority(new Date());
    const beside = new Beside(daemon, scratch("agent"), await freePort(), authority);
    await beside.certify(authority);
    await beside.run(o);
    return beside;
  }

  get data(): string {
    return path.join(this.place.folder, "data");
  }

  /** Puts a new certificate where the agent looks. */
  async certify(authority: Authority, now = new Date()): Promise<void> {
    this.authority = authority;
    const { ca, certificate, key } = await issueServer(authority, pattern, now);
    const folder = path.join(this.place.folder, "tls");
    mkdirSync(folder, { recursive: true });
    for (const [name, text] of [
      ["ca.crt", ca],
      ["tls.crt", certificate],
      ["tls.key", key],
    ] as const)
      writeFileSync(path.join(folder, name), text);
  }

  /** Starts the process; resolves when it answers. */
  async run({ graceSeconds = 60 }: { graceSeconds?: number } = {}): Promise<void> {
    this.#starts += 1;
    this.process = await start({
      name: `agent-${this.#starts}`,
      folder: this.place.folder,
      command: [
        process.execPath,
        path.join(repositoryRoot, "src/cli/main.ts"),
        "agent",
        `--buildkitd=${this.buildkitd.address}`,
        `--address=127.0.0.1:${this.port}`,
        `--tls=${path.join(this.place.folder, "tls")}`,
        `--data=${this.data}`,
        `--volume=${this.buildkitd.root}`,
        "--probe-address=127.0.0.1:0",
        `--grace=${graceSeconds}`,
        "--log-level=debug",
      ],
    });
    await waitFor("the agent", async () => await (await this.remote()).info(), {
      deadlineMs: 30_000,
      processes: [this.process],
    });
  }

  /** The controller's end, with a certificate of now. */
  async remote(over: Partial<TlsMaterial> = {}): Promise<RemoteAgent> {
    const remote = new RemoteAgent(await this.endpoint(over));
    this.#remotes.push(remote);
    return remote;
  }

  async endpoint(over: Partial<TlsMaterial> = {}): Promise<Extract<Endpoint, { kind: "tcp" }>> {
    const { ca, certificate: cert, key } = await issueClient(this.authority, new Date());
    const tls = { ca, cert, key, serverName, ...over };
    return { kind: "tcp", host: "127.0.0.1", port: this.port, tls };
  }

  /** Kills the process as the kernel does when memory is short. */
  async kill(): Promise<void> {
    process.kill(this.process.identity.pid, "SIGKILL");
    await waitFor("the agent's end", async () => (this.process.running() ? undefined : true), {
      deadlineMs: 10_000,
    });
  }

  /** Everything that the agent wrote to its disk and its logs, as one text. */
  written(): string {
    const files = (folder: string): string[] =>
      readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => path.join(entry.parentPath, entry.name));
    return [...files(this.data), ...files(path.join(this.place.folder, "logs"))]
      .map((file) => readFileSync(file, "latin1"))
      .join("\n");
  }

  async stop(): Promise<void> {
    for (const remote of this.#remotes) remote.close();
    await this.process.stop();
    const keep = process.env["KILN_TEST_KEEP"];
    if (keep !== undefined) cpSync(this.place.folder, keep, { recursive: true });
    this.place.remove();
  }
}

/** A job that builds an inline Dockerfile. */
export function aJob(ref: string, dockerfile: string, secrets: Record<string, string> = {}): Job {
  const tree = new Map([["Dockerfile", Buffer.from(dockerfile)]]);
  return {
    ref,
    request: {
      ref,
      frontend: "dockerfile.v0",
      frontendAttrs: { "no-cache": "" },
      exporters: [],
      cacheImports: [],
      cacheExports: [],
    },
    materials: new Sealed({
      endpoint: { kind: "unix", path: "/the/agent/knows" },
      secrets: new Map(Object.entries(secrets).map(([id, text]) => [id, Buffer.from(text)])),
      logins: new Map(),
      sshKeys: [],
      trees: new Map([
        ["dockerfile", tree],
        ["context", new Map()],
      ]),
    }),
  };
}

/** Every event of a job to its end. */
export async function eventsOf(agent: RemoteAgent, ref: string, from = 0): Promise<JobEvent[]> {
  const events: JobEvent[] = [];
  for await (const event of agent.attach(ref, from, AbortSignal.timeout(90_000)))
    events.push(event);
  return events;
}

/** How a job ended. */
export async function outcomeOf(agent: RemoteAgent, ref: string): Promise<JobOutcome> {
  const last = (await eventsOf(agent, ref)).at(-1);
  if (last?.kind !== "finished") throw new Error(`no outcome but ${JSON.stringify(last)}`);
  return last.outcome;
}

/** What the steps printed. */
export function outputOf(events: readonly JobEvent[]): string {
  return events
    .map((event) =>
      event.kind === "solve" && event.event.kind === "log"
        ? Buffer.from(event.event.data).toString()
        : "",
    )
    .join("");
}

/** Resolves once a job's steps printed a text. */
export async function printed(agent: RemoteAgent, ref: string, text: string): Promise<void> {
  const events: JobEvent[] = [];
  for await (const event of agent.attach(ref, 0, AbortSignal.timeout(60_000))) {
    events.push(event);
    if (outputOf(events).includes(text)) return;
  }
  throw new Error(`${ref} never printed ${text}: ${JSON.stringify(events.at(-1))}`);
}
