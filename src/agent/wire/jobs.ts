// Jobs ⇄ their protobuf form. The secrets in them are in these messages only while a call lasts. Pure.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { DockerConfig, Endpoint, SolveRequest } from "../../buildkit/index.ts";
import type {
  Materials as WireMaterials,
  StartRequest,
  StartRequestSchema,
} from "../../gen/kiln/agent/v1/agent_pb.ts";
import type { HiddenAttrs, Job, Materials } from "../agent.ts";
import { Sealed } from "../sealed.ts";

type Login = DockerConfig extends ReadonlyMap<string, infer T> ? T : never;

/** The job as `Start` takes it. Its endpoint stays behind: an agent knows its own daemon. */
export function jobToWire({
  ref,
  request,
  materials,
}: Job): MessageInitShape<typeof StartRequestSchema> {
  const { secrets, logins, sshKeys, trees, hidden = [], ...more } = materials.open();
  const { definition, frontendInputs, ...plain } = request;
  return {
    ref,
    request: JSON.stringify(plain),
    ...(definition && { definition }),
    ...(frontendInputs && { frontendInputs: { ...frontendInputs } }),
    materials: {
      secrets: Object.fromEntries(secrets),
      logins: [...logins].map(([key, login]) => ({ key, login: JSON.stringify(login) })),
      authorities: Object.fromEntries(more.authorities ?? []),
      insecureRegistries: [...(more.insecureRegistries ?? [])],
      sshKeys: [...sshKeys],
      trees: [...trees].map(([name, files]) => ({ name, files: Object.fromEntries(files) })),
      hidden: hidden.map(({ attrs, ...entry }) => ({ ...entry, attrs: { ...attrs } })),
    },
  };
}

/** The job that `jobToWire` was given, for the daemon at `endpoint`. Throws SyntaxError for what is no JSON. */
export function jobFromWire(wire: StartRequest, endpoint: Endpoint): Job {
  const { ref, request, definition, frontendInputs } = wire;
  const llb = {
    ...(definition && { definition }),
    ...(Object.keys(frontendInputs).length > 0 && { frontendInputs }),
  };
  const parsed = { ...(JSON.parse(request) as SolveRequest), ref, ...llb };
  return { ref, request: parsed, materials: new Sealed(opened(wire.materials, endpoint)) };
}

/** Materials without any secret. */
export function noMaterials(endpoint: Endpoint): Sealed<Materials> {
  return new Sealed(opened(undefined, endpoint));
}

function opened(wire: WireMaterials | undefined, endpoint: Endpoint): Materials {
  const login = ({ key, login: text }: { key: string; login: string }) =>
    [key, JSON.parse(text) as Login] as const;
  return {
    endpoint,
    secrets: buffers(wire?.secrets),
    logins: new Map((wire?.logins ?? []).map(login)),
    authorities: new Map(Object.entries(wire?.authorities ?? {})),
    insecureRegistries: new Set(wire?.insecureRegistries),
    sshKeys: (wire?.sshKeys ?? []).map(({ id, privateKey }) => ({ id, privateKey })),
    trees: new Map((wire?.trees ?? []).map(({ name, files }) => [name, buffers(files)])),
    hidden: (wire?.hidden ?? []).map(({ list, index, attrs }) => ({
      list: list as HiddenAttrs["list"],
      index,
      attrs,
    })),
  };
}

function buffers(bytes: Readonly<Record<string, Uint8Array>> = {}): Map<string, Buffer> {
  const copy = ([name, data]: [string, Uint8Array]) => [name, Buffer.from(data)] as const;
  return new Map(Object.entries(bytes).map(copy));
}
