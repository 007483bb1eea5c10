// Does the decoder of failed calls make a BuildkitError of any status, details and JSON, in time and of bounded size?
import { create, toBinary } from "@bufbuild/protobuf";
import { buildkitError, BuildkitError } from "../../src/buildkit/errors/errors.ts";
import { StatusSchema } from "../../src/gen/google/rpc/status_pb.ts";
import { anyBytes, damaged } from "./bytes.ts";
import type { Random } from "./random.ts";
import { fuzz } from "./run.ts";

const names = [
  "Vertex",
  "Source",
  "FrontendCap",
  "Subrequest",
  "Solve",
  "ExitMessage",
  "ExitError",
  "FileAction",
  "ContentCache",
  "DecisionResponse",
  "ErrorSource",
  "Stack",
  "",
  "__proto__",
];
const keys = [
  "digest",
  "info",
  "ranges",
  "start",
  "end",
  "line",
  "character",
  "filename",
  "data",
  "language",
  "definition",
  "Code",
  "code",
  "name",
  "inputIDs",
  "mountIDs",
  "op",
  "subject",
  "file",
  "index",
  "__proto__",
  "constructor",
  "toString",
];
const texts = [
  "",
  "RUN make",
  "RlJPTSBzY3JhdGNoCg==",
  "sha256:0",
  "no space left on device",
  "failed to solve: ".repeat(50),
  "http://me:secret@host/x",
  "\u0000\uD800",
];
const numbers = [0, -1, 1, 137, 1e9, 1e300, -0, 2 ** 53, 0.5];
const messages = [
  ...texts,
  'failed to solve: process "/bin/sh -c false" did not complete successfully: exit code: 1',
  "git stderr: fatal: Authentication failed for 'http://me:secret@host/x'",
  'failed to do request: Head "https://host/v2/": dial tcp: lookup host: no such host',
];
/** What makes regular expressions slow; a few of these are enough. */
const longMessages = [
  "a".repeat(20_000),
  "git fetch ".repeat(2_000),
  "failed to do request: ".repeat(2_000),
  "unexpected status ".repeat(2_000),
  `${"failed to resolve ".repeat(2_000)}x`,
];

function message(random: Random): string {
  return random.pick(random.oneIn(100) ? longMessages : messages);
}

function json(random: Random, depth: number): unknown {
  switch (random.below(depth > 4 ? 4 : 7)) {
    case 0:
      return random.pick(numbers);
    case 1:
      return random.pick(texts);
    case 2:
      return random.pick([null, true, false]);
    case 3:
      return anyBytes(random, 20).toString("base64");
    case 4:
      return random.list(4, () => json(random, depth + 1));
    default:
      return Object.fromEntries(
        random.list(5, () => [random.pick(keys), json(random, depth + 1)] as const),
      );
  }
}

function value(random: Random): Buffer {
  const text = Buffer.from(JSON.stringify(json(random, 0)));
  if (random.oneIn(6)) return anyBytes(random, 40);
  return random.oneIn(6) ? damaged(random, text) : text;
}

function details(random: Random): Buffer {
  const status = create(StatusSchema, {
    code: random.below(20),
    message: message(random),
    details: random.list(5, () => ({
      typeUrl: `${random.pick(["", "github.com/moby/buildkit/errdefs.", "x/"])}${random.pick(names)}${random.pick(["", "+json"])}`,
      value: Uint8Array.from(value(random)),
    })),
  });
  const bytes = Buffer.from(toBinary(StatusSchema, status));
  if (random.oneIn(10)) return anyBytes(random, 200);
  return random.oneIn(4) ? damaged(random, bytes) : bytes;
}

interface Failed {
  readonly code: number;
  readonly message: string;
  readonly details: Buffer | undefined;
}

const slowMs = 1_000;

function wrong({ code, message, details: bytes }: Failed): string | undefined {
  const call = Object.assign(new Error(message), {
    code,
    details: message,
    metadata: { get: () => (bytes === undefined ? [] : [bytes]) },
  });
  const before = process.cpuUsage();
  const error = buildkitError(call);
  // CPU: others may keep this process waiting.
  const took = process.cpuUsage(before).user / 1_000;
  if (!(error instanceof BuildkitError)) return "no BuildkitError";
  if (error.reason === "") return "no reason";
  if (error.message.length > 4_096) return `a message of ${error.message.length} characters`;
  if (/\/\/me:secret@/.test(error.message)) return "a password in the message";
  return took > slowMs ? `took ${took} ms` : undefined;
}

describe("failed calls", () => {
  it("become BuildkitErrors, whatever their details are", async function () {
    const done = await fuzz<Failed>({
      share: 0.25,
      generate: (random) => ({
        code: random.pick([0, 1, 2, 4, 8, 13, 14, 99, -1]),
        message: message(random),
        details: random.oneIn(20) ? undefined : details(random),
      }),
      check: async (cases) => cases.map(wrong),
    });
    this.test!.title += ` (${done})`;
  });
});
