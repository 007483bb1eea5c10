// What the tests against a real Docker engine share: the engine, Kiln, and Secrets that lead to it.

import { readFileSync } from "node:fs";
import type { BuilderSpecInput } from "../../../src/api/v1alpha1/index.ts";
import { builderImages, type Dockerd, dockerd, type DockerdOptions } from "../../cluster/index.ts";
import { Kiln } from "../builder/kiln.ts";

export type Container = NonNullable<BuilderSpecInput["dockerContainer"]>;

/** A container as the engine shows it. */
export interface Inspected {
  readonly Id: string;
  readonly State: { readonly Status: string };
  readonly Config: {
    readonly Image: string;
    readonly Env: readonly string[];
    readonly Labels: Readonly<Record<string, string>>;
  };
  readonly HostConfig: Readonly<Record<string, unknown>>;
  readonly Mounts: readonly { readonly Name?: string; readonly Destination: string }[];
}

/** The image of buildkitd that the engine can pull. */
export const image = builderImages().rootful.replace("docker.io/", "");

/** An engine and a Kiln. */
export interface Scene {
  readonly kiln: Kiln;
  readonly engine: Dockerd;
  /** A driver block of a container on the engine; everything of it stays below the engine's own control group. */
  container(over?: Partial<Container>): Container;
  inspect(name: string): Promise<Inspected>;
  /** Names of all containers, or of all volumes. */
  names(what: "containers" | "volumes"): Promise<readonly string[]>;
  /** A namespace with the Secret `engine`, which its default service account may read. */
  trusting(): Promise<string>;
  stop(): Promise<void>;
}

export async function scene(options: DockerdOptions = {}): Promise<Scene> {
  const engine = await dockerd(options);
  const kiln = await Kiln.start({ namespacedSockets: true });
  return {
    kiln,
    engine,
    container: (over = {}) => ({
      endpoint: `unix://${engine.socket}`,
      image,
      cgroupParent: `/${engine.cgroup}/kiln`,
      ...over,
    }),
    inspect: async (name) => (await engine.ask("GET", `/containers/${name}/json`)) as Inspected,
    names: async (what) => {
      if (what === "volumes") {
        const { Volumes } = (await engine.ask("GET", "/volumes")) as {
          Volumes: { Name: string }[] | null;
        };
        return (Volumes ?? []).map(({ Name }) => Name);
      }
      const list = (await engine.ask("GET", "/containers/json?all=true")) as { Names: string[] }[];
      return list.flatMap(({ Names }) => Names.map((name) => name.slice(1)));
    },
    trusting: async () => {
      const namespace = await kiln.namespace();
      const { ca, cert, key } = engine.tls;
      const text = (file: string): string => readFileSync(file, "utf8");
      await kiln.secret(namespace, "engine", {
        "ca.pem": text(ca),
        "cert.pem": text(cert),
        "key.pem": text(key),
      });
      await kiln.allow(namespace, "default", "engine");
      return namespace;
    },
    stop: async () => {
      await kiln.stop();
      await engine.stop();
    },
  };
}
