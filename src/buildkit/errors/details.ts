// google.rpc.Status with BuildKit's details → the facts they state. Pure.
// Upstream: solver/errdefs, BuildKit v0.34.2. The value of each Any is JSON, in spite of its type.
import { fromBinary } from "@bufbuild/protobuf";
import { StatusSchema, type Status } from "../../gen/google/rpc/status_pb.ts";
import {
  list,
  object,
  parseJson,
  text,
  textFields,
  texts,
  whole,
  type Loose,
} from "../loose-json.ts";
import { sourceOf, type ErrorSource } from "./source-lines.ts";

/** All that the typed details of a failure say, several of a kind in the order the daemon sent them. */
export interface ErrorDetails {
  /** Digests of the steps; more than one when a step is a build of its own. */
  readonly vertices: readonly string[];
  readonly sources: readonly ErrorSource[];
  /** The frontends it came through: "dockerfile.v0"; of "gateway.v0" the image as `source`. */
  readonly frontends: readonly { readonly name: string; readonly source: string }[];
  /** What was on the step that failed; only of a build through the gateway. */
  readonly solve?: FailedSolve;
  /** Exit code of a process. */
  readonly exitCode?: number;
  /** The subrequest that the frontend does not know. */
  readonly subrequest?: string;
  /** What the build wants of the frontend and it does not have. */
  readonly frontendCap?: string;
  readonly compatibility?: { readonly version: number; readonly feature: string };
  /** What the provenance lacks. */
  readonly incompleteMaterials: readonly IncompleteMaterial[];
  /** What a source policy decided. */
  readonly decisions: readonly PolicyDecision[];
}

/** The failed step for a closer look: ids are refs of the gateway. */
export interface FailedSolve {
  readonly inputIds: readonly string[];
  readonly mountIds: readonly string[];
  /** The operation in protobuf's JSON form. */
  readonly op: Readonly<Record<string, unknown>>;
  /** Which action of a file operation failed, or the content of which input could not be hashed. */
  readonly subject?: { readonly kind: "file" | "cache"; readonly index: number };
  readonly description: Readonly<Record<string, string>>;
}

/** Something that a step fetched and that the provenance cannot state. */
export interface IncompleteMaterial {
  readonly op: string;
  readonly name: string;
  readonly method: string;
  readonly uri: string;
  readonly finalUri: string;
  readonly reason: string;
}

/** A decision of a source policy. */
export interface PolicyDecision {
  readonly action: "allow" | "deny" | "convert";
  readonly messages: readonly string[];
}

/** A failed call, as far as it says what it is. */
export interface ErrorFacts extends ErrorDetails {
  readonly code: number;
  readonly message: string;
  /** Short names of the details that were there: "Vertex", "Source", "ExitMessage"… */
  readonly kinds: ReadonlySet<string>;
}

const actions = ["allow", "deny", "convert"] as const;

function decisionOf(detail: Loose): PolicyDecision {
  const action = text(detail["action"]).toLowerCase();
  return {
    action: actions.find((name) => name === action) ?? actions[whole(detail["action"])] ?? "deny",
    messages: list(detail["denyMessages"])
      .map((entry) => text(object(entry)["message"]))
      .filter((message) => message !== ""),
  };
}

function materialOf(value: unknown): IncompleteMaterial {
  const material = object(value);
  return {
    op: text(material["op"]),
    name: text(material["name"]),
    method: text(material["method"]),
    uri: text(material["uri"]),
    finalUri: text(material["final_uri"] ?? material["finalUri"]),
    reason: text(material["reason"]),
  };
}

function failedSolve(detail: Loose): FailedSolve {
  const kind = (["file", "cache"] as const).find((name) => name in detail);
  return {
    inputIds: texts(detail["inputIDs"]),
    mountIds: texts(detail["mountIDs"]),
    op: object(detail["op"]),
    ...(kind === undefined
      ? {}
      : { subject: { kind, index: whole(object(detail[kind])["index"]) } }),
    description: textFields(detail["description"]),
  };
}

/** "github.com/moby/buildkit/errdefs.Source+json" → "Source". */
function shortName(typeUrl: string): string {
  return typeUrl.replace(/\+json$/, "").replace(/^.*[./]/, "");
}

/** Details by kind; where the daemon's code was (Stack) is nobody's business here. */
function byKind(details: Status["details"]): Map<string, Loose[]> {
  const found = new Map<string, Loose[]>();
  for (const { typeUrl, value } of details) {
    const kind = shortName(typeUrl);
    if (kind === "Stack") continue;
    const detail = object(parseJson(Buffer.from(value).toString("utf8")));
    found.set(kind, [...(found.get(kind) ?? []), detail]);
  }
  return found;
}

/** What the single details say, each only when it is there. */
function singles(found: ReadonlyMap<string, readonly Loose[]>) {
  const first = (kind: string): Loose | undefined => found.get(kind)?.[0];
  const [solve, exit, compatibility] = [
    first("Solve"),
    first("ExitMessage"),
    first("CompatibilityFeature"),
  ];
  const [subrequest, cap] = [first("Subrequest"), first("FrontendCap")];
  return {
    ...(solve === undefined ? {} : { solve: failedSolve(solve) }),
    ...(exit === undefined ? {} : { exitCode: whole(exit["Code"] ?? exit["code"]) }),
    ...(subrequest === undefined ? {} : { subrequest: text(subrequest["name"]) }),
    ...(cap === undefined ? {} : { frontendCap: text(cap["name"]) }),
    ...(compatibility === undefined
      ? {}
      : {
          compatibility: {
            version: whole(compatibility["version"]),
            feature: text(compatibility["feature"]),
          },
        }),
  };
}

/** The facts in a decoded status. Unknown and malformed details never throw. */
export function factsOf(status: Pick<Status, "code" | "message" | "details">): ErrorFacts {
  const found = byKind(status.details);
  const all = (kind: string): readonly Loose[] => found.get(kind) ?? [];
  return {
    code: status.code,
    message: status.message,
    kinds: new Set(found.keys()),
    vertices: all("Vertex")
      .map(({ digest }) => text(digest))
      .filter((digest) => digest !== ""),
    sources: all("Source")
      .map(sourceOf)
      .filter((source) => source !== undefined),
    frontends: all("Frontend").map(({ name, source }) => ({
      name: text(name),
      source: text(source),
    })),
    incompleteMaterials: all("ProvenanceMaterialsIncomplete").flatMap(({ incomplete }) =>
      list(incomplete).map(materialOf),
    ),
    decisions: all("DecisionResponse").map(decisionOf),
    ...singles(found),
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
