// Which daemons of a Builder are not pods of Kiln's, and where is each? Pure.

import type {
  BuilderSpec,
  DockerContainerDriver,
  DockerDriver,
  RemoteDriver,
} from "../../api/v1alpha1/index.ts";
import { containerName } from "../docker/container.ts";
import type { BuilderRef } from "../instance.ts";

/** The driver block of one. */
export type ExternalDriver =
  | { readonly kind: "Remote"; readonly value: RemoteDriver }
  | { readonly kind: "Docker"; readonly value: DockerDriver }
  | { readonly kind: "DockerContainer"; readonly value: DockerContainerDriver };

/** One daemon. */
export interface External {
  /** Of the instance: the name of its node, or one that tells the driver. */
  readonly id: string;
  /** Entry of spec.nodes. */
  readonly node: string | undefined;
  /** Where its driver block stands, for messages. */
  readonly field: string;
  readonly driver: ExternalDriver;
  /** For people. */
  readonly address: string;
  /** Those that it is used for, whatever it says; undefined: what it says. */
  readonly platforms: readonly string[] | undefined;
}

type Blocks = Pick<BuilderSpec, "remote" | "docker" | "dockerContainer">;

/** All of a Builder's. */
export function externals(ref: BuilderRef, spec: BuilderSpec): External[] {
  const single = external(ref, spec, {});
  const ofNodes = spec.nodes.flatMap((node) => {
    const { name, platforms } = node;
    return external(ref, node, { name, platforms: platforms.length === 0 ? undefined : platforms });
  });
  return [...single, ...ofNodes];
}

interface Node {
  readonly name?: string;
  readonly platforms?: readonly string[] | undefined;
}

function external(ref: BuilderRef, blocks: Blocks, { name: node, platforms }: Node): External[] {
  const at = node === undefined ? "spec" : `spec.nodes[${node}]`;
  const { remote, docker, dockerContainer } = blocks;
  const base = { node, platforms };
  const id = (what: string): string => node ?? `${what}-0`;
  if (remote !== undefined) {
    const driver = { kind: "Remote", value: remote } as const;
    return [{ ...base, id: id("remote"), field: `${at}.remote`, driver, address: remote.endpoint }];
  }
  if (docker !== undefined) {
    const driver = { kind: "Docker", value: docker } as const;
    return [{ ...base, id: id("docker"), field: `${at}.docker`, driver, address: docker.endpoint }];
  }
  if (dockerContainer === undefined) return [];
  const driver = { kind: "DockerContainer", value: dockerContainer } as const;
  const address = `docker-container://${dockerContainer.containerName ?? containerName(ref, node)}`;
  return [{ ...base, id: id("container"), field: `${at}.dockerContainer`, driver, address }];
}

/** Name of the container of a `dockerContainer` driver. */
export function containerOf({ address }: External): string {
  return address.slice("docker-container://".length);
}
