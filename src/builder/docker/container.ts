// What container, on which engine, is the buildkitd of a Builder, and what has to be done to the one that is there? Pure.

import type { DockerContainerDriver } from "../../api/v1alpha1/index.ts";
import type { ContainerState, EngineInfo, TarFile } from "../../docker/index.ts";
import type { BuilderRef } from "../instance.ts";
import { bytesOfQuantity } from "../../api/quantity.ts";
import { contentHash } from "../kubernetes/hash.ts";
import { builderKindLabel, builderLabel, managedByLabel, manager } from "../names.ts";

/** Labels of the container and its volume, besides those of every object of Kiln's. */
export const engineLabels = {
  namespace: "kiln.build/namespace",
  uid: "kiln.build/builder-uid",
  hash: "kiln.build/template-hash",
} as const;

/** Where the daemon keeps its state, and its configuration. */
const statePath = "/var/lib/buildkit";
export const configPath = "/etc/buildkit/buildkitd.toml";

/** Whose container. */
export interface Owner {
  readonly ref: BuilderRef;
  readonly uid: string;
}

/** A container as it should be. */
export interface WantedContainer {
  readonly name: string;
  readonly volume: string;
  readonly image: string;
  readonly adopt: boolean;
  readonly owner: Owner;
  readonly files: readonly TarFile[];
  readonly hash: string;
  /** Body of "create container" on an engine. */
  readonly bodyOn: (engine: EngineInfo) => object;
}

/** Name of the container when the Builder names none; `node` is the entry of spec.nodes that it is for. */
export function containerName(
  { namespace = "", name }: BuilderRef,
  node: string | undefined,
): string {
  // No name of Kubernetes has an underscore.
  return ["kiln", namespace, name, ...(node === undefined ? [] : [node])].join("_");
}

/** Name of the volume of a container; buildx's, too. */
export function volumeName(container: string): string {
  return `${container}_state`;
}

/** What `wantedContainer` is made of. */
export interface ContainerInput {
  readonly driver: DockerContainerDriver;
  readonly name: string;
  readonly owner: Owner;
  /** Of Builders that name none. */
  readonly defaultImage: string;
  readonly files: readonly TarFile[];
}

/** The container of a Builder. */
export function wantedContainer(input: ContainerInput): WantedContainer {
  const { driver, name, owner, files } = input;
  const image = driver.image ?? input.defaultImage;
  const volume = volumeName(name);
  const plain = { driver: optionsOf(driver), image, files: files.map(fingerprint) };
  const hash = contentHash(plain);
  const labels = { ...ownerLabels(owner), [engineLabels.hash]: hash };
  const bodyOn = (engine: EngineInfo): object =>
    body({ driver, image, volume, labels, files }, engine);
  return { name, volume, image, adopt: driver.adopt, owner, files, hash, bodyOn };
}

/** What makes the container another one; where the engine is and what becomes of the volume do not. */
function optionsOf(driver: DockerContainerDriver): object {
  const {
    endpoint: _e,
    tls: _t,
    ssh: _s,
    adopt: _a,
    whenDeleted: _w,
    containerName: _c,
    ...rest
  } = driver;
  return rest;
}

function fingerprint({ path, data, mode }: TarFile): object {
  return { path, mode, data: data.toString("base64") };
}

/** Labels that say whose a container or volume is. */
export function ownerLabels({ ref, uid }: Owner): Record<string, string> {
  return {
    [managedByLabel]: manager,
    [builderKindLabel]: ref.kind,
    [builderLabel]: ref.name,
    [engineLabels.namespace]: ref.namespace ?? "",
    [engineLabels.uid]: uid,
  };
}

interface Body {
  readonly driver: DockerContainerDriver;
  readonly image: string;
  readonly volume: string;
  readonly labels: Record<string, string>;
  readonly files: readonly TarFile[];
}

/** As buildx makes it (driver/docker-container/driver.go): privileged, with an init process and a volume for its state. */
function body({ driver, image, volume, labels, files }: Body, engine: EngineInfo): object {
  const hasConfig = files.some(({ path }) => `/${path}` === configPath);
  const { [engineLabels.hash]: _, ...volumeLabels } = labels;
  return {
    Image: image,
    Env: driver.env.map(({ name, value }) => `${name}=${value}`),
    ...(hasConfig ? { Cmd: ["--config", configPath] } : {}),
    Labels: labels,
    HostConfig: {
      Privileged: true,
      Init: true,
      Mounts: [
        {
          Type: "volume",
          Source: volume,
          Target: statePath,
          VolumeOptions: { Labels: volumeLabels },
        },
      ],
      RestartPolicy: restartPolicy(driver.restartPolicy),
      ...(driver.network === undefined ? {} : { NetworkMode: driver.network }),
      ...(engine.CgroupDriver === "cgroupfs" ? { CgroupParent: driver.cgroupParent } : {}),
      // A privileged container cannot be in the user namespace of an engine that remaps users.
      ...(engine.SecurityOptions?.some((one) => one.includes("name=userns")) === true
        ? { UsernsMode: "host" }
        : {}),
      ...resources(driver),
    },
  };
}

function restartPolicy(text: string): object {
  const [name, retries] = text.split(":");
  return retries === undefined
    ? { Name: name }
    : { Name: name, MaximumRetryCount: Number(retries) };
}

function resources(driver: DockerContainerDriver): object {
  const bytes = (size: string | number | undefined) =>
    size === undefined ? undefined : bytesOfQuantity(size);
  const all = {
    Memory: bytes(driver.memory),
    MemorySwap: driver.unlimitedSwap ? -1 : bytes(driver.memorySwap),
    CpuPeriod: driver.cpuPeriod,
    CpuQuota: driver.cpuQuota,
    CpuShares: driver.cpuShares,
    CpusetCpus: driver.cpusetCpus,
    CpusetMems: driver.cpusetMems,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** What is to be done about a container. */
export type ContainerStep =
  /** There is none. */
  | "create"
  /** It is not as wanted, and nobody uses it. */
  | "recreate"
  /** It is not as wanted, and builds run on it. */
  | "drain"
  /** It does not run. */
  | "start"
  /** It runs, as wanted. */
  | "keep"
  /** The engine starts it or ends it at this moment. */
  | "wait"
  /** It is somebody else's. */
  | "taken";

/** Decides it. */
export function containerStep(
  actual: ContainerState | undefined,
  wanted: Pick<WantedContainer, "hash" | "owner" | "adopt">,
  isBusy: boolean,
): ContainerStep {
  if (actual === undefined) return "create";
  const labels = actual.Config.Labels ?? {};
  const isOurs = labels[engineLabels.uid] === wanted.owner.uid;
  if (!isOurs && !wanted.adopt) return "taken";
  if (!isOurs || labels[engineLabels.hash] !== wanted.hash) return isBusy ? "drain" : "recreate";
  switch (actual.State.Status) {
    case "running":
      return "keep";
    case "created":
    case "exited":
      return "start";
    case "paused":
    case "dead":
      return "recreate";
    default:
      return "wait";
  }
}
