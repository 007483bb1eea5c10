// A source policy that is asked, not told (policysession.PolicyVerifier): the daemon asks about each source before
// it fetches it, when the solve names this session as its policy's (SolveRequest.SourcePolicySession).
import {
  PolicyVerifier,
  type CheckPolicyRequest,
  type SourceMeta,
} from "../../../gen/moby/buildkit/v1/sourcepolicy/policysession/policysession_pb.ts";
import type { Attachable } from "../attachable.ts";
import { unaryMethod } from "../unary.ts";

// Numbers of the enums in sourcepolicy/pb/policy.proto and frontend/gateway/pb/gateway.proto.
const actions = { allow: 0, deny: 1, convert: 2 } as const;
const algorithms = { sha256: 0, sha384: 1, sha512: 2 } as const;

/** A source as LLB names it: "docker-image://docker.io/library/alpine:3", "git://…", "https://…", "local://…". */
export interface NamedSource {
  readonly identifier: string;
  readonly attrs: Readonly<Record<string, string>>;
}

/** May this source be used? */
export interface PolicyQuestion {
  readonly source: NamedSource;
  /** "linux/arm64/v8"; undefined when the source has none. */
  readonly platform?: string;
  /** What the daemon found out about the source; undefined before the answer `resolve` asked for it. */
  readonly image?: SourceMeta["image"];
  readonly git?: SourceMeta["git"];
  readonly http?: SourceMeta["http"];
}

/** More facts about the same source, to decide with; each costs the daemon a fetch. */
export interface PolicyFacts {
  /** For images: the config, the attestations and their signatures, attestations of these predicate types. */
  readonly image?: {
    readonly config?: boolean;
    readonly attestationChain?: boolean;
    readonly attestations?: readonly string[];
  };
  /** For git: the commit and tag objects themselves. */
  readonly git?: { readonly objects: boolean };
  /** For http: the checksum of the content with `suffix` after it. */
  readonly http?: {
    readonly algorithm: "sha256" | "sha384" | "sha512";
    readonly suffix?: Uint8Array;
  };
}

/** `convert` puts another source in the place of this one, which is then asked about; `resolve` asks for more. */
export type PolicyAnswer =
  | { readonly action: "allow" }
  | { readonly action: "deny"; readonly messages?: readonly string[] }
  | { readonly action: "convert"; readonly source: NamedSource }
  | { readonly action: "resolve"; readonly facts: PolicyFacts };

/** Decides about one source. The daemon asks at most some ten times about one. */
export type PolicyCallback = (
  question: PolicyQuestion,
  signal: AbortSignal,
) => Promise<PolicyAnswer>;

/** Serves a source policy. A rejection of `decide` fails the build. */
export function policySession(decide: PolicyCallback): Attachable {
  const check = unaryMethod(PolicyVerifier.method.checkPolicy, async (request, signal) =>
    wireAnswer(await decide(questionOf(request), signal), request),
  );
  return { methods: Object.fromEntries([check]) };
}

function questionOf({ source, platform }: CheckPolicyRequest): PolicyQuestion {
  const { identifier = "", attrs = {} } = source?.source ?? {};
  const parts = [platform?.os, platform?.architecture, platform?.variant];
  const text = parts.filter((part) => part !== undefined && part !== "").join("/");
  return {
    source: { identifier, attrs },
    ...(text === "" ? {} : { platform: text }),
    image: source?.image,
    git: source?.git,
    http: source?.http,
  };
}

function wireAnswer(answer: PolicyAnswer, asked: CheckPolicyRequest) {
  if (answer.action === "resolve") {
    return { result: { case: "request" as const, value: wireFacts(answer.facts, asked) } };
  }
  const messages = answer.action === "deny" ? (answer.messages ?? []) : [];
  const value = {
    action: actions[answer.action],
    denyMessages: messages.map((message) => ({ message })),
    ...(answer.action === "convert"
      ? { update: { identifier: answer.source.identifier, attrs: { ...answer.source.attrs } } }
      : {}),
  };
  return { result: { case: "decision" as const, value } };
}

/** The daemon refuses facts about any source but the one it asked about. */
function wireFacts({ image, git, http }: PolicyFacts, { source, platform }: CheckPolicyRequest) {
  return {
    ...(source?.source === undefined ? {} : { source: source.source }),
    ...(platform === undefined ? {} : { platform }),
    ...(image === undefined
      ? {}
      : {
          image: {
            noConfig: image.config !== true,
            attestationChain: image.attestationChain === true,
            resolveAttestations: [...(image.attestations ?? [])],
          },
        }),
    ...(git === undefined ? {} : { git: { returnObject: git.objects } }),
    ...(http === undefined
      ? {}
      : {
          http: {
            checksum: {
              algo: algorithms[http.algorithm],
              suffix: Uint8Array.from(http.suffix ?? []),
            },
          },
        }),
  };
}
