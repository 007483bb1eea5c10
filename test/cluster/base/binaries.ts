// Which programs of other projects does the test cluster run, how is each built from its pinned Go
// module (tools/*/go.mod), and where is the result kept? ~/.cache/kiln/tools/<module>-<hash>/<binary>,
// where the hash covers go.mod, go.sum, our own sources and the flags: a changed pin is a new folder.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { debianPackages } from "./debian.ts";
import { withLock } from "./lock.ts";
import { step } from "./progress.ts";

const run = promisify(execFile);

/** The root folder of the repository. */
export const repositoryRoot: string = path.resolve(import.meta.dirname, "../../..");

interface ModuleSpec {
  /** Folder under tools/. */
  readonly folder: string;
  /** Module whose version in go.mod is stamped into the binaries. */
  readonly module: string;
  /** Linker variables to set; "VERSION" is replaced by the version with its leading v. */
  readonly stamps?: readonly string[];
  /** Statically linked C code (runc's libseccomp); everything else is built without cgo. */
  readonly cgo?: { readonly tags: string; readonly packages: readonly string[] };
  /** Binary name → Go package. */
  readonly binaries: Readonly<Record<string, string>>;
}

const kubernetesStamps = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"].flatMap(
  (pkg) => [`${pkg}.gitVersion=VERSION`, `${pkg}.gitMajor=MAJOR`, `${pkg}.gitMinor=MINOR`],
);

const modules: readonly ModuleSpec[] = [
  {
    folder: "etcd",
    module: "go.etcd.io/etcd/server/v3",
    binaries: { etcd: "go.etcd.io/etcd/server/v3" },
  },
  {
    folder: "kubernetes",
    module: "k8s.io/kubernetes",
    stamps: kubernetesStamps,
    binaries: Object.fromEntries(
      [
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
        "kubectl",
      ].map((name) => [name, `k8s.io/kubernetes/cmd/${name}`]),
    ),
  },
  {
    folder: "buildkit",
    module: "github.com/moby/buildkit",
    stamps: ["github.com/moby/buildkit/version.Version=VERSION"],
    binaries: {
      buildkitd: "github.com/moby/buildkit/cmd/buildkitd",
      buildctl: "github.com/moby/buildkit/cmd/buildctl",
      progressui: "./progressui",
      "test-frontend": "./frontend",
    },
  },
  {
    // Our own program around BuildKit's libraries: the oracle of test/fuzz.
    folder: "filesync",
    module: "github.com/moby/patternmatcher",
    binaries: { "filesync-reference": "." },
  },
  {
    folder: "runc",
    module: "github.com/opencontainers/runc",
    stamps: ["main.version=NUMBER"],
    cgo: { tags: "netgo osusergo seccomp", packages: ["libseccomp-dev", "pkg-config", "gcc"] },
    binaries: { runc: "github.com/opencontainers/runc" },
  },
  {
    folder: "registry",
    module: "github.com/distribution/distribution/v3",
    stamps: ["github.com/distribution/distribution/v3/version.version=VERSION"],
    binaries: { registry: "github.com/distribution/distribution/v3/cmd/registry" },
  },
  {
    folder: "containerd",
    module: "github.com/containerd/containerd/v2",
    stamps: ["github.com/containerd/containerd/v2/version.Version=VERSION"],
    binaries: Object.fromEntries(
      ["containerd", "containerd-shim-runc-v2", "ctr"].map((name) => [
        name,
        `github.com/containerd/containerd/v2/cmd/${name}`,
      ]),
    ),
  },
  {
    folder: "docker",
    module: "github.com/moby/moby/v2",
    stamps: ["github.com/moby/moby/v2/dockerversion.Version=NUMBER"],
    binaries: { dockerd: "github.com/moby/moby/v2/cmd/dockerd" },
  },
  {
    folder: "cni",
    module: "github.com/containernetworking/plugins",
    binaries: {
      bridge: "github.com/containernetworking/plugins/plugins/main/bridge",
      loopback: "github.com/containernetworking/plugins/plugins/main/loopback",
      "host-local": "github.com/containernetworking/plugins/plugins/ipam/host-local",
      portmap: "github.com/containernetworking/plugins/plugins/meta/portmap",
    },
  },
  {
    folder: "coredns",
    module: "github.com/coredns/coredns",
    binaries: { coredns: "github.com/coredns/coredns" },
  },
  {
    folder: "rootlesskit",
    module: "github.com/rootless-containers/rootlesskit/v3",
    binaries: { rootlesskit: "github.com/rootless-containers/rootlesskit/v3/cmd/rootlesskit" },
  },
  {
    folder: "buildx",
    module: "github.com/docker/buildx",
    stamps: ["github.com/docker/buildx/version.Version=VERSION"],
    binaries: { buildx: "github.com/docker/buildx/cmd/buildx" },
  },
  {
    folder: "versitygw",
    module: "github.com/versity/versitygw",
    binaries: { versitygw: "github.com/versity/versitygw/cmd/versitygw" },
  },
  {
    folder: "helm",
    module: "helm.sh/helm/v3",
    stamps: ["helm.sh/helm/v3/internal/version.version=VERSION"],
    binaries: { helm: "helm.sh/helm/v3/cmd/helm" },
  },
  {
    folder: "kind",
    module: "sigs.k8s.io/kind",
    binaries: { kind: "sigs.k8s.io/kind" },
  },
];

/** Names of every program that `binary` can provide. */
export const binaryNames: readonly string[] = modules.flatMap((m) => Object.keys(m.binaries));

/** The folder that everything built or downloaded is kept in: $KILN_CACHE or ~/.cache/kiln. */
export function cacheRoot(): string {
  return process.env["KILN_CACHE"] ?? path.join(os.homedir(), ".cache", "kiln");
}

function specOf(name: string): ModuleSpec {
  const spec = modules.find((m) => name in m.binaries);
  if (spec === undefined) throw new Error(`no Go module of tools/ provides the program ${name}`);
  return spec;
}

/** The pinned version, with its leading "v", of the project that provides a program. */
export function versionOf(name: string): string {
  const spec = specOf(name);
  const goMod = readFileSync(path.join(repositoryRoot, "tools", spec.folder, "go.mod"), "utf8");
  const line = goMod.split("\n").find((l) => l.trim().startsWith(`${spec.module} v`));
  const version = line?.trim().split(/\s+/)[1];
  if (version === undefined)
    throw new Error(`tools/${spec.folder}/go.mod does not require ${spec.module}`);
  return version;
}

function linkerFlags(spec: ModuleSpec, version: string): string {
  const [major = "0", minor = "0"] = version.slice(1).split(".");
  const stamps = (spec.stamps ?? []).map((stamp) =>
    stamp
      .replace("VERSION", version)
      .replace("NUMBER", version.slice(1))
      .replace("MAJOR", major)
      .replace("MINOR", minor),
  );
  const flags = ["-s", "-w", ...stamps.map((stamp) => `-X ${stamp}`)];
  if (spec.cgo !== undefined) flags.push("-extldflags=-static");
  return flags.join(" ");
}

/** Sources of a program that is ours. */
function goFiles(folder: string): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith(".go"))
    .toSorted();
}

/** Where the cache keeps (or would keep) a program. */
export function binaryPath(name: string): string {
  const spec = specOf(name);
  const folder = path.join(repositoryRoot, "tools", spec.folder);
  const hash = createHash("sha256");
  const own = spec.binaries[name]?.startsWith("./") === true ? spec.binaries[name] : ".";
  const ofOwn = own === "." ? [] : goFiles(path.join(folder, own)).map((file) => `${own}/${file}`);
  for (const file of ["go.mod", "go.sum", ...goFiles(folder), ...ofOwn]) {
    hash.update(readFileSync(path.join(folder, file)));
  }
  hash.update(JSON.stringify([linkerFlags(spec, versionOf(name)), spec.cgo ?? null, process.arch]));
  const key = hash.digest("hex").slice(0, 12);
  return path.join(cacheRoot(), "tools", `${spec.folder}-${versionOf(name)}-${key}`, name);
}

async function compile(spec: ModuleSpec, name: string, target: string): Promise<void> {
  if (spec.cgo !== undefined) await debianPackages(spec.cgo.packages);
  mkdirSync(path.dirname(target), { recursive: true });
  const partial = `${target}.partial-${process.pid}`;
  const tags = spec.cgo === undefined ? [] : ["-tags", spec.cgo.tags];
  const flags = ["-trimpath", ...tags, "-ldflags", linkerFlags(spec, versionOf(name))];
  try {
    await run("go", ["build", ...flags, "-o", partial, spec.binaries[name] ?? ""], {
      cwd: path.join(repositoryRoot, "tools", spec.folder),
      env: { ...process.env, CGO_ENABLED: spec.cgo === undefined ? "0" : "1" },
      maxBuffer: 64 << 20,
    });
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    const why = missing ? "Go is not on PATH; install Go 1.26 or newer" : String(error);
    throw new Error(`cannot build ${name} from tools/${spec.folder}: ${why}`, { cause: error });
  }
  renameSync(partial, target);
}

/**
 * The path of a program, built first when the cache does not have it. Two tools that want the same
 * program at once build it once.
 * @throws when the Go toolchain is missing or the build fails
 */
export async function binary(name: string): Promise<string> {
  const target = binaryPath(name);
  if (existsSync(target)) return target;
  const spec = specOf(name);
  await withLock(path.join(cacheRoot(), "locks", `go-${spec.folder}`), async () => {
    if (existsSync(target)) return;
    await step(`building ${name} ${versionOf(name)}`, () => compile(spec, name, target));
  });
  return target;
}

/** The paths of several programs; what is missing is built one after another. */
export async function binaries<const T extends string>(
  names: readonly T[],
): Promise<Record<T, string>> {
  const found: [string, string][] = [];
  for (const name of names) found.push([name, await binary(name)]);
  return Object.fromEntries(found) as Record<T, string>;
}
