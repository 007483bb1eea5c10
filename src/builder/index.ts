// What the rest of Kiln may use of the Builder slice: the only door into this folder.

export type { BuilderRef, Fleet, Instance, InstanceLoad, NotReady } from "./instance.ts";
export { builderKey, builderRefOf } from "./instance.ts";
export {
  type BuilderCaches,
  builderCaches,
  builders,
  cacheList,
  clusterBuilders,
} from "./caches.ts";
export {
  type BuilderFeed,
  builderFeeds,
  type Builders,
  type BuildersOptions,
  createBuilders,
} from "./slice.ts";
export {
  type ClientCertificate,
  issueClient,
  issueServer,
  newAuthority,
} from "./pki/authority.ts";
export { rules } from "./rbac.ts";
export { specFault } from "./spec-fault.ts";
