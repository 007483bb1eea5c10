// What tests of file sync share: builds of a folder, by us and by buildctl, and what the daemon asked us for.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";
import {
  type Attachable,
  type BuildkitClient,
  diskTree,
  filesync,
  inMemoryTree,
  type Tree,
} from "../../../src/buildkit/index.ts";
import { packetType, readPacket } from "../../../src/buildkit/session/filesync/packets.ts";
import type { Buildkitd } from "../../cluster/index.ts";

/** How many files the daemon asked for. */
export interface Counter {
  requests: number;
}

/** The attachable, with the requests of directory "context" counted. */
export function counted(attachable: Attachable, counter: Counter): Attachable {
  const methods = Object.entries(attachable.methods).map(([name, method]) => {
    if (method.kind !== "stream") return [name, method] as const;
    return [
      name,
      {
        kind: "stream",
        handle(stream) {
          if (stream.metadata.get("dir-name")?.[0] !== "context") return method.handle(stream);
          return method.handle({
            metadata: stream.metadata,
            signal: stream.signal,
            get messages() {
              return stream.messages;
            },
            batches: seen(stream.batches, counter),
            readFrames: (take) => stream.readFrames(take),
            send: (...parts) => stream.send(...parts),
            sendFrames: (frames) => stream.sendFrames(frames),
          });
        },
      } satisfies typeof method,
    ] as const;
  });
  return { methods: Object.fromEntries(methods) };
}

async function* seen(
  batches: AsyncIterable<readonly Buffer[]>,
  counter: Counter,
): AsyncGenerator<readonly Buffer[], void, undefined> {
  for await (const batch of batches) {
    counter.requests += batch.filter(
      (message) => readPacket(message).type === packetType.request,
    ).length;
    yield batch;
  }
}

/** A build of a context. */
export interface Synced {
  /** sha256:<hex> of the image; no timestamps of the build are in it. */
  readonly digest: string;
  /** Files of the context that the daemon asked for. */
  readonly requests: number;
}

/** What is the same for both: nothing from the cache of steps, nothing of the time of the build. */
const attrs = { "no-cache": "", "build-arg:SOURCE_DATE_EPOCH": "0" };

/** Builds a context with our client. */
export async function buildByUs(
  client: BuildkitClient,
  context: Tree | string,
  {
    dockerfile = "FROM scratch\nCOPY . /\n",
    sharedKey,
  }: { dockerfile?: string; sharedKey?: string } = {},
): Promise<Synced> {
  const counter: Counter = { requests: 0 };
  const trees = filesync({
    context: typeof context === "string" ? diskTree(context) : context,
    dockerfile: inMemoryTree(new Map([["Dockerfile", { data: dockerfile }]])),
  });
  const result = await client.solve(
    {
      ref: randomUUID(),
      frontend: "dockerfile.v0",
      frontendAttrs: attrs,
      exporters: [{ type: "image", attrs: { "rewrite-timestamp": "true" } }],
      cacheImports: [],
      cacheExports: [],
    },
    {
      attachables: [counted(trees, counter)],
      onEvent: () => undefined,
      signal: AbortSignal.timeout(100_000),
      ...(sharedKey === undefined ? {} : { sharedKey }),
    },
  );
  return { digest: result.digest ?? "", requests: counter.requests };
}

/** Builds a context with buildctl; and how many bytes it says to have sent of it. */
export async function buildByBuildctl(
  daemon: Buildkitd,
  context: string,
  { folder, name = "Dockerfile" }: { folder: string; name?: string },
): Promise<{ digest: string; sent: string }> {
  const metadata = path.join(folder, `metadata-${randomUUID()}.json`);
  const { stderr } = await daemon.buildctl([
    "build",
    "--progress=plain",
    "--frontend=dockerfile.v0",
    `--local=context=${context}`,
    `--local=dockerfile=${folder}`,
    `--opt=filename=${name}`,
    ...Object.entries(attrs).map(([key, value]) => `--opt=${key}=${value}`),
    "--output=type=image,rewrite-timestamp=true",
    `--metadata-file=${metadata}`,
  ]);
  const written = JSON.parse(readFileSync(metadata, "utf8")) as Record<string, string>;
  const sent = [...stderr.matchAll(/transferring context: (\S+)/g)].at(-1)?.[1] ?? "";
  return { digest: written["containerimage.digest"] ?? "", sent };
}
