// What a frontend makes: refs by platform, metadata, attestations; on the wire and in our words. Pure.
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  Attestation,
  Ref,
  Result,
  ResultSchema,
} from "../../gen/moby/buildkit/v1/frontend/gateway_pb.ts";
import type { Definition } from "../client-types.ts";

/** A part of the build, solved or still to be solved; lives as long as the build. */
export interface GatewayRef {
  readonly id: string;
  /** Its LLB: may be solved again, or be the input of a frontend. */
  readonly definition?: Definition;
}

/** A statement about a result, kept with the image. */
export interface GatewayAttestation {
  /** `bundle`: a directory of in-toto statements. */
  readonly kind: "in-toto" | "bundle";
  /** Where the statement stands: a file of `ref`. */
  readonly path: string;
  readonly ref?: GatewayRef;
  readonly predicateType: string;
  readonly subjects: readonly {
    /** `self`: the image that is made; `raw`: what `name` and `digests` say. */
    readonly kind: "self" | "raw";
    readonly name: string;
    readonly digests: readonly string[];
  }[];
  readonly metadata: Readonly<Record<string, Uint8Array>>;
}

/** The result of a frontend, or what the whole build is to make. */
export interface GatewayResult {
  /** Of a build for one platform. Absent with `refs`, and for a result without files (FROM scratch). */
  readonly ref?: GatewayRef;
  /** By platform ("linux/arm64"); a platform without files has no ref. */
  readonly refs?: Readonly<Record<string, GatewayRef | undefined>>;
  /** "containerimage.config", "refs.platforms", "result.json"…: what exporters and callers read. */
  readonly metadata?: Readonly<Record<string, Uint8Array>>;
  /** By platform. */
  readonly attestations?: Readonly<Record<string, readonly GatewayAttestation[]>>;
}

// Numbers of AttestationKind and InTotoSubjectKind in gateway.proto.
const kinds = ["in-toto", "bundle"] as const;
const subjectKinds = ["self", "raw"] as const;

function refOf(ref: Ref | undefined): GatewayRef | undefined {
  if (ref === undefined || ref.id === "") return undefined;
  return ref.def.length === 0 ? { id: ref.id } : { id: ref.id, definition: ref.def };
}

function wireRef(ref: GatewayRef | undefined) {
  return { id: ref?.id ?? "", def: ref?.definition ?? new Uint8Array() };
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, to: (value: A) => B) {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, to(value)]));
}

function attestationOf(attestation: Attestation): GatewayAttestation {
  const ref = refOf(attestation.ref);
  return {
    kind: kinds[attestation.kind] ?? "in-toto",
    path: attestation.path,
    ...(ref === undefined ? {} : { ref }),
    predicateType: attestation.inTotoPredicateType,
    subjects: attestation.inTotoSubjects.map(({ kind, name, digest }) => ({
      kind: subjectKinds[kind] ?? "raw",
      name,
      digests: [...digest],
    })),
    metadata: { ...attestation.metadata },
  };
}

/** A result as the daemon sent it. */
export function resultOfWire(result: Result | undefined): GatewayResult {
  const made = result?.result;
  const ref = made?.case === "ref" ? refOf(made.value) : undefined;
  return {
    ...(ref === undefined ? {} : { ref }),
    ...(made?.case === "refs" ? { refs: mapValues(made.value.refs, refOf) } : {}),
    metadata: { ...result?.metadata },
    attestations: mapValues(result?.attestations ?? {}, ({ attestation }) =>
      attestation.map(attestationOf),
    ),
  };
}

/** A result as the daemon takes it. */
export function wireResult(result: GatewayResult): MessageInitShape<typeof ResultSchema> {
  const refs = result.refs;
  return {
    result:
      refs === undefined
        ? { case: "ref", value: wireRef(result.ref) }
        : { case: "refs", value: { refs: mapValues(refs, wireRef) } },
    metadata: { ...result.metadata },
    attestations: mapValues(result.attestations ?? {}, (attestations) => ({
      attestation: attestations.map((attestation) => ({
        kind: kinds.indexOf(attestation.kind),
        path: attestation.path,
        ...(attestation.ref === undefined ? {} : { ref: wireRef(attestation.ref) }),
        inTotoPredicateType: attestation.predicateType,
        inTotoSubjects: attestation.subjects.map(({ kind, name, digests }) => ({
          kind: subjectKinds.indexOf(kind),
          name,
          digest: [...digests],
        })),
        metadata: { ...attestation.metadata },
      })),
    })),
  };
}

/** The refs of a result with the platform of each; "" when it has just one. */
export function refsOf(result: GatewayResult): (readonly [platform: string, ref: GatewayRef])[] {
  const all: [string, GatewayRef | undefined][] =
    result.refs === undefined ? [["", result.ref]] : Object.entries(result.refs);
  return all.filter((entry): entry is [string, GatewayRef] => entry[1] !== undefined);
}
