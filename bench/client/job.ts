// One build as the benchmark asks every client for it. Plain JSON, to be handed to other processes.

/** What is built, from what, and where the output goes. */
export interface Job {
  /** unix:///… or tcp://… */
  readonly endpoint: string;
  /** A Dockerfile's folder is the local "dockerfile"; "" solves the definition. */
  readonly frontend: "dockerfile.v0" | "";
  /** LLB, base64. */
  readonly definition?: string;
  /** Local directories by name. */
  readonly locals: Readonly<Record<string, string>>;
  readonly output?: { readonly type: "tar" | "local"; readonly dest: string };
  /** How many such builds at once. Default: 1. */
  readonly concurrent?: number;
  /** Have the runner tell its parent of each chunk that a step prints. */
  readonly tellOutput?: boolean;
}

/** What a job cost. */
export interface Cost {
  readonly wallMs: number;
  /** User and system time of the client. */
  readonly cpuMs: number;
  /** The most memory that it held, in MiB. */
  readonly rssMiB: number;
}
