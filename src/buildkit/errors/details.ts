// google.rpc.Status with BuildKit's details → the facts they state. Pure.
// Upstream: solver/errdefs, BuildKit v0.34.2. The value of each Any is JSON, in spite of its type.
import { fromBinary } from "@bufbuild/protobuf";
import { StatusSchema, type Status } from "../../gen/google/rpc/status_pb.ts";

/** The place in a Dockerfile (or other source) that an error is about. Lines count from 1. */
export interface ErrorSource {
  readonly path: string;
  readonly line: number;
  readonly endLine: number;
  /** The lines themselves, without the final line break. */
  readonly excerpt: string;
}

/** What the typed details of a failed call say. */
export interface ErrorFacts {
  readonly code: number;
  readonly message: string;
  /** Short names of the details that were there: "Vertex", "Source", "ExitMessage"… */
  readonly details: ReadonlySet<string>;
  readonly vertexDigest?: string;
  readonly source?: ErrorSource;
  readonly exitCode?: number;
}

type Json = { readonly [key: string]: unknown };

function object(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Json)
    : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function lineOf(position: unknown): number | undefined {
  const line = object(position)["line"];
  return typeof line === "number" && Number.isInteger(line) && line >= 1 ? line : undefined;
}

function sourceOf(detail: Json): ErrorSource | undefined {
  const info = object(detail["info"]);
  const range = object(list(detail["ranges"])[0]);
  const line = lineOf(range["start"]);
  if (line === undefined) return undefined;
  const endLine = Math.max(line, lineOf(range["end"]) ?? line);
  const lines = Buffer.from(text(info["data"]), "base64").toString("utf8").split("\n");
  return {
    path: text(info["filename"]),
    line,
    endLine,
    excerpt: lines.slice(line - 1, endLine).join("\n"),
  };
}

function exitCodeOf(detail: Json): number {
  const code = Number(detail["Code"] ?? detail["code"] ?? 0);
  return Number.isInteger(code) ? code : 0;
}

/** "github.com/moby/buildkit/errdefs.Source+json" → "Source". */
function shortName(typeUrl: string): string {
  return typeUrl.replace(/\+json$/, "").replace(/^.*[./]/, "");
}

function parse(value: Uint8Array): Json {
  try {
    return object(JSON.parse(Buffer.from(value).toString("utf8")));
  } catch {
    return {}; // a detail of a kind we do not know; its name is kept
  }
}

/** The facts in a decoded status. Unknown, malformed and repeated details never throw; the first of a kind counts. */
export function factsOf(status: Pick<Status, "code" | "message" | "details">): ErrorFacts {
  const found = new Map<string, Json>();
  for (const { typeUrl, value } of status.details) {
    const name = shortName(typeUrl);
    if (!found.has(name)) found.set(name, parse(value));
  }
  const vertex = text(found.get("Vertex")?.["digest"]);
  const source = sourceOf(found.get("Source") ?? {});
  const exit = found.get("ExitMessage");
  return {
    code: status.code,
    message: status.message,
    details: new Set(found.keys()),
    ...(vertex === "" ? {} : { vertexDigest: vertex }),
    ...(source === undefined ? {} : { source }),
    ...(exit === undefined ? {} : { exitCode: exitCodeOf(exit) }),
  };
}

/** Facts of a failed call; `details` are the bytes of `grpc-status-details-bin`, absent or malformed is fine. */
export function factsOfCall(code: number, message: string, details?: Uint8Array): ErrorFacts {
  const plain = { code, message, details: [] };
  if (details === undefined) return factsOf(plain);
  try {
    const status = fromBinary(StatusSchema, details);
    return factsOf({
      code,
      message: message === "" ? status.message : message,
      details: status.details,
    });
  } catch {
    return factsOf(plain);
  }
}
