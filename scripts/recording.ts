// What a recording of solve requests leaves out: the names of this one build, this builder and this machine.

import { toJson } from "@bufbuild/protobuf";
import { SolveRequestSchema as ControlSolve } from "../src/gen/moby/buildkit/v1/control_pb.ts";
import type { SolveRequest as ControlRequest } from "../src/gen/moby/buildkit/v1/control_pb.ts";
import { SolveRequestSchema as BridgeSolve } from "../src/gen/moby/buildkit/v1/frontend/gateway_pb.ts";
import type { SolveRequest as BridgeRequest } from "../src/gen/moby/buildkit/v1/frontend/gateway_pb.ts";

/** What a line says → what stands for it while it is recorded. */
export type Places = Readonly<Record<string, string>>;

type Attrs = Record<string, unknown>;

/** A text with the first of each pair replaced by the second. */
export function replaced(text: string, pairs: readonly (readonly [string, string])[]): string {
  return pairs.reduce((at, [from, to]) => at.replaceAll(from, to), text);
}

/** JSON with sorted keys, and the places of the recording replaced by the names in the line. */
export function normalised(value: unknown, places: Places): string {
  const sorted = (_: string, at: unknown) =>
    at !== null && typeof at === "object" && !Array.isArray(at)
      ? Object.fromEntries(Object.entries(at).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : at;
  const pairs = Object.entries(places).map(([name, real]) => [real, name] as const);
  return replaced(JSON.stringify(value, sorted, 2), pairs);
}

/** A request to the daemon, without what names this one build, this builder and this commit. */
export function controlOf(request: ControlRequest): Attrs {
  return nameless(toJson(ControlSolve, request) as Attrs);
}

/** A request to the frontend, likewise. */
export function bridgeOf(request: BridgeRequest): Attrs {
  return nameless(toJson(BridgeSolve, request) as Attrs);
}

function nameless(message: Attrs): Attrs {
  const known = { ref: "<ref>", session: "<session>" };
  const attrs = (message["frontendAttrs"] ?? message["frontendOpt"] ?? {}) as Attrs;
  for (const [key, value] of Object.entries(attrs)) {
    if (key.startsWith("sharedkey:")) attrs[key] = String(value).replace(/:[0-9a-f]+$/, ":<node>");
    if (key.startsWith("local-sessionid:")) attrs[key] = "<session>";
    if (key === "vcs:revision") attrs[key] = "<commit>";
  }
  const named = Object.entries(known).filter(([key]) => key in message);
  return { ...message, ...Object.fromEntries(named) };
}
