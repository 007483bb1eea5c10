// Which agent holds the solves of a place: the one in this process, or the one beside the daemon. Connections to agents are
// kept while they are used.

import type { Endpoint } from "../buildkit/index.ts";
import type { Agent, Agents, Place } from "./agent.ts";
import { RemoteAgent } from "./wire/remote.ts";

/** A connection that nobody asked for in this long is closed; whoever still reads through it dials anew. */
const idleMs = 60 * 60_000;

interface Kept {
  readonly agent: RemoteAgent;
  usedMs: number;
}

/** All agents that this process talks to. */
export class InstanceAgents implements Agents {
  readonly #local: Agent;
  readonly #remote = new Map<string, Kept>();

  /** `local` is for every daemon without an agent beside it. */
  constructor(local: Agent) {
    this.#local = local;
  }

  at({ kind, endpoint }: Place): Agent {
    if (kind === "daemon") return this.#local;
    if (endpoint.kind !== "tcp") throw new TypeError("an agent is reached over TCP");
    const key = keyOf(endpoint);
    const now = Date.now();
    const kept = this.#remote.get(key) ?? { agent: new RemoteAgent(endpoint), usedMs: now };
    kept.agent.renew(endpoint);
    kept.usedMs = now;
    this.#remote.set(key, kept);
    this.#sweep(now);
    return kept.agent;
  }

  /** Ends all connections. */
  close(): void {
    for (const { agent } of this.#remote.values()) agent.close();
    this.#remote.clear();
  }

  #sweep(now: number): void {
    for (const [key, { agent, usedMs }] of this.#remote) {
      if (now - usedMs < idleMs) continue;
      agent.close();
      this.#remote.delete(key);
    }
  }
}

function keyOf({ host, port, tls }: Extract<Endpoint, { kind: "tcp" }>): string {
  return `${host} ${port} ${tls?.serverName ?? ""}`;
}
