// What may tests start? Real servers on free ports and temporary folders, each ended by `stop` and,
// should the test be killed, by the kernel.
export { binary, repositoryRoot, versionOf } from "./base/binaries.ts";
export { buildctlPath, buildkitd, type BuildkitdOptions } from "./servers/buildkitd.ts";
export type { Buildkitd, ClientTls } from "./servers/buildkitdProcess.ts";
export {
  type Authority,
  authority,
  type KeyPair,
  leaf,
  type LeafOptions,
} from "./servers/certs.ts";
export { type ControlPlane, controlPlane } from "./servers/controlPlane.ts";
export { type Dockerd, type DockerdOptions, dockerd } from "./servers/dockerd.ts";
export { type GitServer, type GitServerOptions, gitServer } from "./servers/gitserver.ts";
export { type BaseImages, baseImages, builderImages } from "./images/images.ts";
export { applyManifests, kubectl, type KubectlResult } from "./servers/kubectl.ts";
export { type Served, serve } from "./base/http.ts";
export { freePort } from "./base/ports.ts";
export { waitFor } from "./base/process.ts";
export { type Registry, type RegistryOptions, registry } from "./servers/registry.ts";
export { type ObjectStore, objectStore } from "./servers/objectStore.ts";
export { type BlobStore, blobStore } from "./servers/blobStore.ts";
export { type Sshd, type SshdOptions, sshd } from "./servers/sshd.ts";
export { type Scratch, scratch } from "./base/scratch.ts";
