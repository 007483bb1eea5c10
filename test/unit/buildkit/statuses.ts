// Failed calls as buildkitd sends them: a status with JSON inside of Any.
import { create, toBinary } from "@bufbuild/protobuf";
import { StatusSchema } from "../../../src/gen/google/rpc/status_pb.ts";

/** Details by the name of their type. */
export type Details = Readonly<Record<string, unknown>>;

/** Several details of one kind. */
export class Several {
  readonly values: readonly unknown[];
  constructor(...values: readonly unknown[]) {
    this.values = values;
  }
}

/** A status as buildkitd sends it: JSON inside of Any. */
export function status(code: number, message: string, details: Details = {}) {
  return create(StatusSchema, {
    code,
    message,
    details: Object.entries(details).flatMap(([name, value]) =>
      (value instanceof Several ? value.values : [value]).map((one) => ({
        typeUrl: `github.com/moby/buildkit/${name}+json`,
        value: new TextEncoder().encode(JSON.stringify(one)),
      })),
    ),
  });
}

/** A rejection as a channel gives it. */
export function call(code: number, message: string, details?: Details): Error {
  const bytes = Buffer.from(toBinary(StatusSchema, status(code, message, details)));
  const metadata = { get: () => (details === undefined ? [] : [bytes]) };
  return Object.assign(new Error(`${code} ${message}`), { code, details: message, metadata });
}

const dockerfile = "FROM busybox\nRUN one && \\\n  two\n";
export const source = {
  info: { filename: "Dockerfile", data: Buffer.from(dockerfile).toString("base64") },
  ranges: [{ start: { line: 2 }, end: { line: 3 } }],
};
export const vertex = { digest: "sha256:v" };
export const failedStep = {
  "errdefs.Source": source,
  "errdefs.Vertex": vertex,
  "gatewayapi.ExitMessage": { Code: 7 },
};
