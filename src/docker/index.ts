// Docker engines as Kiln uses them. Knows no Kubernetes.
export { askEngine, EngineRefusal, followEngine, isRefusal, type EngineRequest } from "./api.ts";
export { execInContainer } from "./exec.ts";
export { loadImage, takesOci } from "./load.ts";
export {
  containerLog,
  engineInfo,
  hasImage,
  inspectContainer,
  pullImage,
  removeContainer,
  removeVolume,
  startContainer,
  startNewContainer,
  type ContainerState,
  type EngineInfo,
} from "./containers.ts";
export type { TarFile } from "./tar.ts";
