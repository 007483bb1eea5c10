// Questions to a frontend instead of a build: lint, outline, targets, and which questions it knows. Pure.
// The answer comes as metadata of the gateway's result, and of a direct solve in its history record.
// Upstream: frontend/subrequests, BuildKit v0.34.2.
import { list, object, parseJson, text, whole, type Loose } from "../loose-json.ts";

/** Names of the questions that dockerfile.v0 knows. */
export const subrequests = {
  lint: "frontend.lint",
  outline: "frontend.outline",
  targets: "frontend.targets",
  describe: "frontend.subrequests.describe",
} as const;

/** An answer in the forms that the frontend gives it. */
export interface SubrequestResult {
  /** `result.json`, parsed; undefined when there is none. */
  readonly json: unknown;
  /** `result.txt`: for people; "" when there is none. */
  readonly text: string;
  /** `result.statuscode`: what a command that shows it should exit with. */
  readonly statusCode: number;
  /** Of the form: "1.0.0". */
  readonly version: string;
}

/** Lines of the source with this number. */
export interface SourceLocation {
  readonly source: number;
  readonly ranges: readonly { readonly line: number; readonly endLine: number }[];
}

/** Something that lint found. */
export interface LintWarning {
  readonly rule: string;
  readonly description: string;
  readonly url: string;
  readonly detail: string;
  readonly location?: SourceLocation;
}

/** What lint says of a Dockerfile. */
export interface LintResult {
  readonly warnings: readonly LintWarning[];
  readonly sources: readonly { readonly path: string; readonly data: Buffer }[];
  /** Why it does not build at all. */
  readonly buildError?: { readonly message: string; readonly location?: SourceLocation };
}

/** What can be given to a target. */
export interface OutlineResult {
  readonly name: string;
  readonly description: string;
  readonly args: readonly {
    readonly name: string;
    readonly description: string;
    readonly value: string;
    readonly location?: SourceLocation;
  }[];
  readonly secrets: readonly Needed[];
  readonly ssh: readonly Needed[];
  readonly cacheIds: readonly string[];
}

/** A secret or SSH key that steps use. */
export interface Needed {
  readonly name: string;
  readonly required: boolean;
  readonly location?: SourceLocation;
}

/** A stage that can be built. */
export interface Target {
  /** "" for an unnamed one. */
  readonly name: string;
  /** Built when none is named. */
  readonly default: boolean;
  readonly description: string;
  readonly base: string;
  readonly platform: string;
  readonly location?: SourceLocation;
}

/** A question that a frontend knows. */
export interface SubrequestDescription {
  readonly name: string;
  readonly version: string;
  readonly type: string;
  readonly description: string;
  readonly opts: readonly { readonly name: string; readonly description: string }[];
}

/** Frontend attributes that turn a build into a question. */
export function subrequestAttrs(name: string): Record<string, string> {
  return { requestid: name, "frontend.caps": "moby.buildkit.frontend.subrequests" };
}

/** The answer in the metadata of a gateway's result, or in the exporter response of a history record. */
export function subrequestResult(
  metadata: Readonly<Record<string, string | Uint8Array>>,
): SubrequestResult {
  const field = (key: string): string => {
    const value = metadata[key];
    return typeof value === "string" ? value : Buffer.from(value ?? []).toString("utf8");
  };
  return {
    json: parseJson(field("result.json")),
    text: field("result.txt"),
    statusCode: whole(field("result.statuscode")),
    version: field("version"),
  };
}

function location(value: unknown): { location?: SourceLocation } {
  const found = object(value);
  const ranges = list(found["ranges"]).map((entry) => {
    const line = whole(object(object(entry)["start"])["line"]);
    return { line, endLine: Math.max(line, whole(object(object(entry)["end"])["line"])) };
  });
  if (ranges.length === 0) return {};
  return { location: { source: whole(found["sourceIndex"]), ranges } };
}

function each<T>(value: unknown, to: (entry: Loose) => T): T[] {
  return list(value).map((entry) => to(object(entry)));
}

/** The answer to "frontend.lint"; what is not in it is empty. */
export function lintResult({ json }: Pick<SubrequestResult, "json">): LintResult {
  const answer = object(json);
  const failure = answer["buildError"];
  return {
    warnings: each(answer["warnings"], (warning) => ({
      rule: text(warning["ruleName"]),
      description: text(warning["description"]),
      url: text(warning["url"]),
      detail: text(warning["detail"]),
      ...location(warning["location"]),
    })),
    sources: each(answer["sources"], (source) => ({
      path: text(source["filename"]),
      data: Buffer.from(text(source["data"]), "base64"),
    })),
    ...(failure === undefined
      ? {}
      : {
          buildError: {
            message: text(object(failure)["message"]),
            ...location(object(failure)["location"]),
          },
        }),
  };
}

function needed(entry: Loose): Needed {
  return {
    name: text(entry["name"]),
    required: entry["required"] === true,
    ...location(entry["location"]),
  };
}

/** The answer to "frontend.outline". */
export function outlineResult({ json }: Pick<SubrequestResult, "json">): OutlineResult {
  const answer = object(json);
  return {
    name: text(answer["name"]),
    description: text(answer["description"]),
    args: each(answer["args"], (arg) => ({
      name: text(arg["name"]),
      description: text(arg["description"]),
      value: text(arg["value"]),
      ...location(arg["location"]),
    })),
    secrets: each(answer["secrets"], needed),
    ssh: each(answer["ssh"], needed),
    cacheIds: each(answer["cache"], (cache) => text(cache["ID"])),
  };
}

/** The answer to "frontend.targets". */
export function targetsResult({ json }: Pick<SubrequestResult, "json">): Target[] {
  return each(object(json)["targets"], (target) => ({
    name: text(target["name"]),
    default: target["default"] === true,
    description: text(target["description"]),
    base: text(target["base"]),
    platform: text(target["platform"]),
    ...location(target["location"]),
  }));
}

/** The answer to "frontend.subrequests.describe". */
export function describeResult({ json }: Pick<SubrequestResult, "json">): SubrequestDescription[] {
  return each(json, (request) => ({
    name: text(request["name"]),
    version: text(request["version"]),
    type: text(request["type"]),
    description: text(request["description"]),
    opts: each(request["opts"], (opt) => ({
      name: text(opt["name"]),
      description: text(opt["description"]),
    })),
  }));
}
