// What is asked of the BuildKit inside a Docker engine in another way, and what cannot be asked of it? As buildx does for its
// docker driver (build/opt.go). Pure.

import type { SolveRequest } from "../../buildkit/index.ts";
import type { Instance } from "../../builder/index.ts";
import { isForEngine, placeAttr } from "../../agent/outputs/places.ts";
import type { BuilderSpec } from "../../api/v1alpha1/index.ts";
import { KilnError } from "../../errors/index.ts";
import { isLoading } from "./load.ts";

type Request = Omit<SolveRequest, "ref">;
type Engine = NonNullable<Instance["engine"]>;

/**
 * The request as an engine takes it: images go into its own store, and are looked for there first. Throws `KilnError` User
 * `NotForEngine` for what it cannot do.
 */
export function forEngine(request: Request, engine: Engine): Request {
  const lack = lackOf(request, { engine });
  if (lack !== undefined) {
    throw new KilnError({
      class: "User",
      reason: "NotForEngine",
      message: `The Docker engine keeps images in its older store and so cannot ${lack}: switch it to containerd's image store, or use another Builder.`,
    });
  }
  const { exporters, frontendAttrs } = request;
  const result = exporters.length === 0 ? [{ type: "image", attrs: {} }] : exporters;
  const { "add-hosts": hosts } = frontendAttrs;
  return {
    ...request,
    exporters: result.map(engineExporter),
    frontendAttrs: {
      "image-resolve-mode": "local",
      ...frontendAttrs,
      ...(hosts === undefined ? {} : { "add-hosts": withGateway(hosts, engine.hostGateway) }),
    },
  };
}

/** What is to be loaded is there already when the engine has made it. */
function engineExporter(exporter: Request["exporters"][number]): Request["exporters"][number] {
  const { type, attrs } = exporter;
  if (isForEngine(exporter)) {
    const { [placeAttr]: _, ...others } = attrs;
    return { type: "moby", attrs: others };
  }
  // `moby` gives every name a tag, and what has one is not pushed by digest (moby v2.0.0-beta.24,
  // builder-next/exporter/overrides). Kept, the engine would list it without a tag.
  if (isPushed(exporter) && attrs["push-by-digest"] === "true")
    return { type, attrs: { store: "false", ...attrs } };
  return { type: type === "image" ? "moby" : type, attrs };
}

function isPushed({ attrs }: Request["exporters"][number]): boolean {
  return attrs["push"] === "true";
}

/**
 * Whether an instance can do all that is asked: a Docker engine with the older image store cannot, and what is loaded needs an
 * engine.
 */
export function isFor(
  request: Request,
  { engine, loads }: Pick<Instance, "engine" | "loads">,
  spec?: BuilderSpec,
): boolean {
  if (loads !== true && isLoading(request, spec)) return false;
  return lackOf(request, engine === undefined ? {} : { engine }) === undefined;
}

/** What an instance cannot do of what is asked, such as `push`: what a Docker engine with the older image store lacks. */
export function lackOf(request: Request, { engine }: Pick<Instance, "engine">): string | undefined {
  if (engine === undefined || engine.containerdStore) return undefined;
  const { frontendAttrs, exporters, cacheExports } = request;
  if (frontendAttrs["platform"]?.includes(",") === true) return "build for several platforms";
  if (cacheExports.some(({ type }) => type !== "inline")) return "export cache";
  if (exporters.some(isPushed)) return "push";
  if (exporters.some(isArchive)) return "write image archives";
  const isAttested = Object.keys(frontendAttrs).some((key) => key.startsWith("attest:"));
  return isAttested ? "keep attestations" : undefined;
}

/** The engine's store knows `moby`, `local` and `tar` only (moby v2.0.0-beta.24, builder-next/worker). */
function isArchive(exporter: Request["exporters"][number]): boolean {
  return ["oci", "docker"].includes(exporter.type) && !isForEngine(exporter);
}

/** `name=host-gateway` is a host as the engine's containers see it. */
function withGateway(hosts: string, gateway: string | undefined): string {
  return hosts
    .split(",")
    .map((host) => {
      if (!/=host-gateway"?$/.test(host)) return host;
      if (gateway !== undefined) return host.replace("host-gateway", gateway);
      throw new KilnError({
        class: "User",
        reason: "NotForEngine",
        message:
          "The Docker engine does not say what host-gateway is: write an address into hostAliases.",
      });
    })
    .join(",");
}
