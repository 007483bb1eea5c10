// What the tests of the client share: a solve in one line, and its failure.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import {
  type Attachable,
  type BuildCallback,
  BuildkitError,
  type BuildkitClient,
  filesync,
  inMemoryTree,
  type SolveEvent,
  type SolveResult,
  type TypedAttrs,
} from "../../../src/buildkit/index.ts";

/** What of a solve a test cares about. */
export interface Asked {
  readonly ref?: string;
  readonly attrs?: Readonly<Record<string, string>>;
  /** Besides the Dockerfile. */
  readonly attachables?: readonly Attachable[];
  readonly exporters?: readonly TypedAttrs[];
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: SolveEvent) => void;
}

/** A minute from now: long enough for any call of these tests. */
export function deadline(): AbortSignal {
  return AbortSignal.timeout(60_000);
}

/** Solves a Dockerfile; undefined: the attributes say where it comes from. */
export function solve(
  client: BuildkitClient,
  dockerfile: string | undefined,
  asked: Asked = {},
): Promise<SolveResult> {
  const tree = inMemoryTree(new Map([["Dockerfile", { data: dockerfile ?? "" }]]));
  const files = dockerfile === undefined ? [] : [filesync({ dockerfile: tree, context: tree })];
  return client.solve(
    {
      ref: asked.ref ?? randomUUID(),
      frontend: "dockerfile.v0",
      frontendAttrs: asked.attrs ?? {},
      exporters: asked.exporters ?? [],
      cacheImports: [],
      cacheExports: [],
    },
    {
      attachables: [...files, ...(asked.attachables ?? [])],
      onEvent: asked.onEvent ?? (() => undefined),
      signal: asked.signal ?? deadline(),
    },
  );
}

/** What of a build through the gateway a test cares about. */
export type AskedBuild = Pick<Asked, "ref" | "exporters" | "signal" | "onEvent">;

/** Builds with a callback as the frontend, which has a Dockerfile to solve. */
export function build(
  client: BuildkitClient,
  dockerfile: string,
  run: BuildCallback,
  asked: AskedBuild = {},
): Promise<SolveResult> {
  const tree = inMemoryTree(new Map([["Dockerfile", { data: dockerfile }]]));
  return client.build(
    {
      ref: asked.ref ?? randomUUID(),
      frontendAttrs: {},
      exporters: asked.exporters ?? [],
      cacheImports: [],
      cacheExports: [],
    },
    {
      attachables: [filesync({ dockerfile: tree, context: tree })],
      onEvent: asked.onEvent ?? (() => undefined),
      signal: asked.signal ?? deadline(),
    },
    run,
  );
}

/** The error that an attempt must end with. */
export async function failure(attempt: Promise<unknown>): Promise<BuildkitError> {
  const error: unknown = await attempt.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof BuildkitError, String(error));
  return error;
}

/** Settles when a step prints this. */
export function printed(text: string): {
  readonly seen: Promise<void>;
  readonly onEvent: (event: SolveEvent) => void;
} {
  const { promise: seen, resolve } = Promise.withResolvers<void>();
  let output = "";
  return {
    seen,
    onEvent(event) {
      if (event.kind === "log") output += Buffer.from(event.data).toString();
      if (output.includes(text)) resolve();
    },
  };
}
