// What `kiln agent` may be told, and what holds when nobody says.

import type { LogLevel } from "./log-level.ts";

/** What `kiln agent` may be told. */
export interface AgentConfig {
  /** `unix:///…` of the buildkitd beside it. */
  readonly buildkitd: string;
  /** Address for the controller, `host:port`; port 0 takes a free one. */
  readonly address: string;
  /** Folder with ca.crt, tls.crt and tls.key. */
  readonly tls: string;
  /** Folder for the logs of jobs; survives a restart of the process. */
  readonly data: string;
  /** Folder on the volume with buildkitd's state, for its size. */
  readonly volume: string | undefined;
  /** Folder of local caches; without one they are refused. */
  readonly caches: string | undefined;
  /** Address of `/healthz`, `/readyz` and `/metrics`, `host:port`. */
  readonly probeAddress: string;
  readonly logLevel: LogLevel;
  /** How long a SIGTERM waits for running builds, in milliseconds. */
  readonly graceMs: number;
}

/** What each option is when nobody says. */
export const agentDefaults = {
  address: "0.0.0.0:1235",
  tls: "/etc/kiln/tls",
  data: "/var/lib/kiln",
  volume: undefined,
  caches: undefined,
  probeAddress: "0.0.0.0:8080",
  logLevel: "info",
  graceMs: 600_000,
} as const satisfies Partial<AgentConfig>;
