// Which calls of `docker buildx bake --print` are recorded, and which of its overrides. scripts/record-bake.ts runs them with
// the real buildx; printed.test.ts holds what Kiln makes of a file to what buildx prints, requests.test.ts the requests of
// its BuildRuns to those of buildx.

/** One call. */
export interface PrintedCase {
  /** Name of the recording. */
  readonly name: string;
  /** File in files/. */
  readonly file: string;
  readonly targets?: readonly string[];
  /** Values of --set. */
  readonly set?: readonly string[];
}

const all = "all";
const shop = "shop.hcl";
const load = "load.hcl";
const six = ["default"];

/** The recording of all targets of a file, which its calls with targets are compared with. */
export const wholes: Readonly<Record<string, string>> = { [shop]: all, [load]: "outputs" };

// Targets that others inherit from are not set: what inherits is in the file no more when it is printed.
/** Every call. Those with `set` are compared with the overrides of Kiln on what the call without them prints. */
export const printedCases: readonly PrintedCase[] = [
  { name: "shop", file: shop },
  { name: all, file: shop, targets: ["*"] },
  { name: "group", file: shop, targets: ["images"] },
  { name: "pattern", file: shop, targets: ["api-*", "lint"] },
  { name: "push", file: shop, targets: ["*"], set: ["*.push=true"] },
  { name: "no-push", file: shop, targets: ["*"], set: ["*.push=false"] },
  {
    name: "lists",
    file: shop,
    targets: ["*"],
    set: [
      "web.platform=linux/amd64",
      "*.tags+=registry.example/more:1",
      "api-*.tag=registry.example/first:1",
      "api-*.tag=registry.example/second:1",
      "web.no-cache-filter+=build",
      "lint.ulimit=nproc=3",
      "web.ulimits=",
      "web.annotations+=a=b",
      "lint.annotation=c=d",
      "web.entitlement+=device",
    ],
  },
  {
    name: "texts",
    file: shop,
    targets: ["*"],
    set: [
      "*.context=https://git.example/shop.git",
      "web.dockerfile=Containerfile",
      "web.target=debug",
      "web.call=outline",
      "lint.call=check",
      "web.network=none",
      "*.shm-size=64m",
      "*.pull=true",
      "web.no-cache=1",
    ],
  },
  {
    name: "maps",
    file: shop,
    targets: ["*"],
    set: [
      "web.args.VERSION=2",
      "*.args.MORE=a=b",
      "web.labels.a.b=c",
      "web.contexts.alpine=docker-image://alpine:3.21",
      "web.contexts.lib=",
      "web.extra-hosts.db=10.0.0.8",
      "web.resources.memory=1g",
      "web.resource.cpu-quota=5000",
    ],
  },
  {
    name: "entries",
    file: shop,
    targets: ["*"],
    set: [
      "web.cache-from+=type=registry,ref=registry.example/cache:more",
      "web.cache-to=",
      "lint.cache-to=type=inline",
      "web.attest=type=provenance,mode=min",
      "web.attest=type=sbom,generator=registry.example/scanner",
      "web.output+=type=oci,dest=./image.tar",
      "lint.output=./folder",
      "web.secret=id=TOKEN",
      "web.ssh=",
    ],
  },
  { name: "outputs", file: load, targets: six },
  { name: "load", file: load, targets: six, set: ["*.load=true"] },
  { name: "no-load", file: load, targets: six, set: ["*.load=0"] },
  { name: "push-loaded", file: load, targets: six, set: ["*.push=true"] },
  { name: "requests", file: "requests.hcl", targets: ["*"] },
  { name: "secrets", file: shop, targets: ["web"], set: ["web.secret.npm=env=TOKEN"] },
];

/** The file whose targets are built by the real buildx, one by one, while its requests are recorded. */
export const requestFile = "requests.hcl";

/** Its targets. */
export const requestTargets: readonly string[] = [
  ...["plain", "args", "git", "inline", "stage", "no-cache", "steps", "mounts", "attest"],
  ...["attest-none", "push", "image", "named", "files", "cache", "check", "linked"],
];
