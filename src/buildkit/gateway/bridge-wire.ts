// Messages of the bridge ↔ our words. Pure.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Stat } from "../../gen/fsutil/types/wire_pb.ts";
import type {
  APICap,
  ResolveSourceMetaResponse,
  SolveRequestSchema,
  WarnRequestSchema,
} from "../../gen/moby/buildkit/v1/frontend/gateway_pb.ts";
import type { PlatformSchema } from "../../gen/pb/ops_pb.ts";
import { wireSourcePolicy } from "../control/source-policy.ts";
import { goMode } from "../session/filesync/tree.ts";
import type { GatewayFile, GatewaySolve, SourceMeta } from "./gateway.ts";

/** A warning as a frontend gives it. */
export interface WarningText {
  /** One line. */
  readonly short: string;
  /** 0: shown always. Default: 1. */
  readonly level?: number;
  readonly detail?: readonly string[];
  readonly url?: string;
  /** The lines that it is about; lines count from 1. */
  readonly source?: {
    readonly path: string;
    readonly data: Uint8Array;
    readonly language?: string;
    readonly ranges: readonly { readonly line: number; readonly endLine: number }[];
  };
}

/** "linux/arm/v7" as the wire has it; undefined: the daemon's own. */
export function wirePlatform(
  platform: string | undefined,
): MessageInitShape<typeof PlatformSchema> | undefined {
  if (platform === undefined) return undefined;
  const [os = "", architecture = "", variant = ""] = platform.split("/");
  return { os, architecture, variant };
}

/** A part of the build; attributes of the outer build's cache imports are added by the caller. */
export function wireGatewaySolve(
  request: GatewaySolve,
): MessageInitShape<typeof SolveRequestSchema> {
  return {
    definition: request.definition ?? new Uint8Array(),
    frontend: request.frontend ?? "",
    frontendOpt: { ...request.frontendAttrs },
    frontendInputs: { ...request.frontendInputs },
    allowResultReturn: true,
    allowResultArrayRef: true,
    cacheImports: (request.cacheImports ?? []).map(({ type, attrs }) => ({
      type,
      attrs: { ...attrs },
    })),
    evaluate: request.evaluate ?? false,
    sourcePolicies: (request.sourcePolicies ?? []).map(wireSourcePolicy),
  };
}

/** An entry of a ref. */
export function gatewayFile(stat: Stat): GatewayFile {
  return {
    path: stat.path,
    mode: stat.mode >>> 0,
    isDirectory: (stat.mode & goMode.directory) !== 0,
    uid: stat.uid,
    gid: stat.gid,
    size: Number(stat.size),
    mtimeNs: stat.modTime,
    linkTarget: stat.linkname,
  };
}

/** A warning of a step. */
export function wireWarning(
  digest: string,
  { short, level = 1, detail = [], url = "", source }: WarningText,
): MessageInitShape<typeof WarnRequestSchema> {
  const bytes = new TextEncoder();
  return {
    digest,
    level: BigInt(level),
    short: bytes.encode(short),
    detail: detail.map((line) => bytes.encode(line)),
    url,
    ...(source === undefined
      ? {}
      : {
          info: { filename: source.path, data: source.data, language: source.language ?? "" },
          ranges: source.ranges.map(({ line, endLine }) => ({
            start: { line },
            end: { line: endLine },
          })),
        }),
  };
}

/** The ids that are on. A daemon that names none is older than every one that this client speaks to. */
export function enabledCaps(caps: readonly APICap[]): ReadonlySet<string> {
  return new Set(caps.filter(({ enabled }) => enabled).map(({ id }) => id));
}

/** What a source is. */
export function sourceMetaOf(response: ResolveSourceMetaResponse): SourceMeta {
  const { source, image, git, http } = response;
  return {
    identifier: source?.identifier ?? "",
    attrs: { ...source?.attrs },
    ...(image === undefined
      ? {}
      : { image: { digest: image.digest, config: Buffer.from(image.config) } }),
    ...(git === undefined
      ? {}
      : {
          git: {
            checksum: git.checksum,
            ref: git.ref,
            commitChecksum: git.commitChecksum,
            ...(git.commitObject.length === 0
              ? {}
              : { commitObject: Buffer.from(git.commitObject) }),
          },
        }),
    ...(http === undefined
      ? {}
      : {
          http: {
            checksum: http.checksum,
            filename: http.filename,
            ...(http.lastModified === undefined
              ? {}
              : { lastModified: timestampDate(http.lastModified) }),
          },
        }),
  };
}
