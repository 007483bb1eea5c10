// What does each feature of a Builder add to its pods? A feature is one function here: environment,
// mounts, volumes and init containers that belong together. Pure.

import type { Pod } from "../../kube/types.ts";
import { registriesPath, registryFolder } from "../config/typed.ts";
import { configAnnotation } from "../names.ts";
import { agentVolumes, socketMount, stateVolume } from "./agent-container.ts";
import type { RenderInput } from "./input.ts";
import type { SecurityMode } from "./security.ts";

type PodSpec = NonNullable<Pod["spec"]>;
type Container = PodSpec["containers"][number];
type Volume = NonNullable<PodSpec["volumes"]>[number];
type Mount = NonNullable<Container["volumeMounts"]>[number];
type EnvVar = NonNullable<Container["env"]>[number];

/** What a feature adds to the pod and to buildkitd's container. */
export interface Addition {
  readonly env?: readonly EnvVar[];
  readonly mounts?: readonly Mount[];
  readonly volumes?: readonly Volume[];
  readonly initContainers?: readonly Container[];
}

/** Where buildkitd.toml is. */
export const configDirectory = "/etc/kiln/buildkit";

const certificatesPath = "/etc/kiln/certificates";
/** Folder of the system's own authorities in upstream's images. */
const systemCertificates = "/etc/ssl/certs";

/** All features, in the order in which their parts stand in the pod. */
export function additions(input: RenderInput, mode: SecurityMode): Addition[] {
  return [
    state(input, mode),
    { mounts: [socketMount(mode)], volumes: agentVolumes(input.driver) },
    config(input),
    registries(input),
    trustedCertificates(input),
    proxy(input),
    ownVolumes(input),
    qemu(input),
    // Last, so that what a person says wins.
    { env: input.driver.env as EnvVar[] },
  ];
}

function state({ driver }: RenderInput, mode: SecurityMode): Addition {
  const mounts = [{ name: stateVolume, mountPath: mode.statePath }];
  if (driver.storage !== undefined) return { mounts };
  const emptyDir =
    driver.tmpfs === undefined ? {} : { medium: "Memory", sizeLimit: String(driver.tmpfs.size) };
  return { mounts, volumes: [{ name: stateVolume, emptyDir }] };
}

/** The config travels in the pod itself, so it rolls with the template and nobody can edit it apart from it. */
function config(input: RenderInput): Addition {
  if (input.config === undefined) return {};
  const fieldPath = `metadata.annotations['${configAnnotation}']`;
  return {
    mounts: [{ name: "config", mountPath: configDirectory, readOnly: true }],
    volumes: [
      {
        name: "config",
        downwardAPI: { items: [{ path: "buildkitd.toml", fieldRef: { fieldPath } }] },
      },
    ],
  };
}

/** Authorities and client keys of registries: straight from their Secrets, never copied. */
function registries({ buildkitd }: RenderInput): Addition {
  const sources = (buildkitd?.registries ?? []).flatMap(
    ({ host, ca, clientCertificate: client }) => {
      const folder = registryFolder(host);
      const authority = ca && [projected(ca.secretName, [[ca.key, `${folder}/ca.crt`]])];
      const identity = client && [
        projected(client.secretName, [
          [client.certificateKey, `${folder}/tls.crt`],
          [client.privateKeyKey, `${folder}/tls.key`],
        ]),
      ];
      return [...(authority ?? []), ...(identity ?? [])];
    },
  );
  if (sources.length === 0) return {};
  return {
    mounts: [{ name: "kiln-registries", mountPath: registriesPath, readOnly: true }],
    volumes: [{ name: "kiln-registries", projected: { sources, defaultMode: 0o440 } }],
  };
}

function projected(name: string, files: readonly (readonly [key: string, path: string])[]) {
  return { secret: { name, items: files.map(([key, path]) => ({ key, path })) } };
}

/** Go reads every file of these folders besides the system's bundle; BuildKit and its registries are Go. */
function trustedCertificates({ driver }: RenderInput): Addition {
  const { secretKeyRef: secret, configMapKeyRef: configMap } = driver.trustedCertificates ?? {};
  const items = [{ key: (secret ?? configMap)?.key ?? "", path: "trusted.crt" }];
  const source =
    secret === undefined
      ? configMap && { configMap: { name: configMap.name, items } }
      : { secret: { secretName: secret.name, items } };
  if (source === undefined) return {};
  return {
    env: [{ name: "SSL_CERT_DIR", value: `${systemCertificates}:${certificatesPath}` }],
    mounts: [{ name: "kiln-certificates", mountPath: certificatesPath, readOnly: true }],
    volumes: [{ name: "kiln-certificates", ...source }],
  };
}

function proxy({ driver }: RenderInput): Addition {
  const { httpProxy, httpsProxy, noProxy = [] } = driver.proxy ?? {};
  const variables: [string, string | undefined][] = [
    ["HTTP_PROXY", httpProxy],
    ["HTTPS_PROXY", httpsProxy],
    ["NO_PROXY", noProxy.length === 0 ? undefined : noProxy.join(",")],
  ];
  return {
    env: variables.flatMap(([name, value]) => (value === undefined ? [] : [{ name, value }])),
  };
}

function ownVolumes({ driver }: RenderInput): Addition {
  return { volumes: driver.volumes as Volume[], mounts: driver.volumeMounts as Mount[] };
}

/** Registers the emulators with the node's kernel (with the pod's own, in a user namespace). */
function qemu({ driver }: RenderInput): Addition {
  if (!driver.qemu.install) return {};
  return {
    initContainers: [
      {
        name: "qemu",
        image: driver.qemu.image,
        imagePullPolicy: driver.imagePullPolicy,
        args: ["--install", "all"],
        securityContext: { privileged: true, runAsUser: 0, runAsGroup: 0, runAsNonRoot: false },
        // As much as buildkitd, which runs after it: the pod asks for no more, and quotas are met.
        ...(driver.resources === undefined ? {} : { resources: driver.resources }),
      } as Container,
    ],
  };
}
