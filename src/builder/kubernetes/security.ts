// What differs between the security modes of buildkitd: user, paths and what the kernel lets it do.
// docs/builder-security.md says which Pod Security level each needs, and why.

import type { Pod } from "../../kube/types.ts";
import type { BuildkitImages, KubernetesDriver } from "./input.ts";

type PodSpec = NonNullable<Pod["spec"]>;
type Container = PodSpec["containers"][number];

/** How buildkitd runs in one security mode. */
export interface SecurityMode {
  readonly image: string;
  /** Where its state (cache, snapshots, history) lives. */
  readonly statePath: string;
  /** `unix://` address of the socket inside the container, for probes. */
  readonly socket: string;
  readonly args: readonly string[];
  readonly container: NonNullable<Container["securityContext"]>;
  readonly pod: NonNullable<PodSpec["securityContext"]>;
  /** false: the pod has a user namespace of its own. Undefined: the cluster's default. */
  readonly hostUsers: false | undefined;
}

/** The user of upstream's rootless image; its /etc/subuid and its home are made for this one. */
const rootlessUser = 1000;

/** The mode that a Builder asks for. */
export function securityMode(driver: KubernetesDriver, images: BuildkitImages): SecurityMode {
  switch (driver.security) {
    case "Privileged":
      return privileged(images.privileged);
    case "UserNamespace":
      return { ...privileged(images.privileged), hostUsers: false };
    case "Rootless":
      return rootless(images.rootless);
  }
}

function privileged(image: string): SecurityMode {
  return {
    image,
    statePath: "/var/lib/buildkit",
    socket: "unix:///run/buildkit/buildkitd.sock",
    args: [],
    container: { privileged: true, runAsUser: 0, runAsGroup: 0 },
    pod: {},
    hostUsers: undefined,
  };
}

function rootless(image: string): SecurityMode {
  return {
    image,
    statePath: "/home/user/.local/share/buildkit",
    socket: "unix:///run/user/1000/buildkit/buildkitd.sock",
    // Without it runc must mount a new /proc, which the masked /proc of an unprivileged pod forbids.
    args: ["--oci-worker-no-process-sandbox"],
    container: {
      runAsUser: rootlessUser,
      runAsGroup: rootlessUser,
      runAsNonRoot: true,
      // mount, unshare and pivot_root, which the runtime's default profiles deny. Privilege escalation
      // stays allowed (unset): newuidmap is setuid.
      seccompProfile: { type: "Unconfined" },
      appArmorProfile: { type: "Unconfined" },
    },
    // Lets uid 1000 read the mounted key and write to a fresh volume.
    pod: { fsGroup: rootlessUser, fsGroupChangePolicy: "OnRootMismatch" },
    hostUsers: undefined,
  };
}
