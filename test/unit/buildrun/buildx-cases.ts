// Which lines of `docker buildx build` are recorded, and the BuildRun that says the same: flags of the build and its
// contexts. scripts/record-buildx.ts runs the lines; recorded.test.ts plans the runs. A builder and a registry of
// the recording stand as registry.example, git.example and files.example in both.

import type { BuildRunSpecInput } from "../../../src/api/v1alpha1/index.ts";
import { outputCases } from "./buildx-output-cases.ts";

/** One line of buildx and its BuildRun. */
export interface BuildxCase {
  /** Name of the recording. */
  readonly name: string;
  /** Flags; FOLDER is the folder of the recording with the build contexts. */
  readonly flags: readonly string[];
  /** PATH or URL; default: FOLDER/context, to which a ConfigMap compares. */
  readonly context?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  /** What is not of the default: a ConfigMap with a Dockerfile. */
  readonly spec: Partial<BuildRunSpecInput>;
}

const secretRef = { name: "keys" };
/** The commit of git.example that main means. */
export const exampleCommit = "0123456789abcdef0123456789abcdef01234567";
const path = { dockerfile: { path: "Dockerfile" } };

const flagCases: readonly BuildxCase[] = [
  { name: "none", flags: [], spec: {} },
  {
    name: "none-without-default-attestations",
    flags: [],
    env: { BUILDX_NO_DEFAULT_ATTESTATIONS: "1" },
    spec: {},
  },
  {
    name: "add-host",
    flags: [
      "--add-host=db.example:10.0.0.7",
      "--add-host=b:10.0.0.7",
      "--add-host=db6=[2001:db8::7]",
    ],
    spec: {
      hostAliases: [
        { ip: "10.0.0.7", hostnames: ["db.example", "b"] },
        { ip: "2001:db8::7", hostnames: ["db6"] },
      ],
    },
  },
  { name: "call-outline", flags: ["--call=outline"], spec: { call: "outline" } },
  { name: "call-check", flags: ["--call=check"], spec: { call: "check" } },
  {
    name: "call-output",
    flags: ["--call=targets", "--tag=registry.example/app:1", "--push"],
    spec: { call: "targets", outputs: [{ image: { tags: ["registry.example/app:1"] } }] },
  },
  {
    name: "call-other",
    flags: ["--call=subrequests.describe"],
    spec: { call: "subrequests.describe" },
  },
  { name: "check", flags: ["--check"], spec: { call: "check" } },
  {
    name: "allow",
    flags: ["--allow=network.host", "--allow=security.insecure"],
    spec: { entitlements: ["network.host", "security.insecure"] },
  },
  {
    name: "allow-device",
    flags: ["--allow=device=vendor.example/gpu"],
    spec: { entitlements: ["device=vendor.example/gpu"] },
  },
  {
    name: "attest",
    flags: ["--attest=type=provenance,mode=max", "--attest=type=sbom"],
    spec: { attestations: { provenance: { mode: "max" }, sbom: {} } },
  },
  {
    name: "provenance-false",
    flags: ["--provenance=false"],
    spec: {},
  },
  {
    name: "provenance-true",
    flags: ["--provenance=true"],
    // What BuildKit takes `true` for.
    spec: { attestations: { provenance: { mode: "max" } } },
  },
  {
    name: "provenance-attributes",
    flags: [
      "--provenance=mode=max,version=v0.2,reproducible=true,inline-only=true,filename=made.json",
    ],
    spec: {
      attestations: {
        provenance: {
          mode: "max",
          version: "v0.2",
          reproducible: true,
          inlineOnly: true,
          filename: "made.json",
        },
      },
    },
  },
  {
    name: "sbom-generator",
    flags: [
      "--sbom=generator=registry.example/scanner:1",
      "--build-arg=BUILDKIT_SBOM_SCAN_CONTEXT=true",
      "--build-arg=BUILDKIT_SBOM_SCAN_STAGE=true",
    ],
    spec: {
      attestations: {
        sbom: { generator: "registry.example/scanner:1", scanContext: true, scanStages: true },
      },
    },
  },
  {
    name: "build-arg",
    flags: ["--build-arg=VERSION=1,2=3", "--build-arg=EMPTY="],
    spec: { buildArgs: [{ name: "VERSION", value: "1,2=3" }, { name: "EMPTY" }] },
  },
  {
    name: "cgroup-parent",
    flags: ["--cgroup-parent=/builds"],
    spec: { cgroupParent: "/builds" },
  },
  {
    name: "file",
    flags: ["--file=FOLDER/context/docker/Containerfile"],
    spec: { dockerfile: { path: "docker/Containerfile" } },
  },
  {
    name: "file-of-another-folder",
    flags: ["--file=FOLDER/other/Dockerfile"],
    spec: { dockerfile: { inline: "FROM scratch\n" } },
  },
  {
    name: "label",
    flags: ["--label=org.example/a=b", "--label=empty="],
    spec: { labels: { "org.example/a": "b", empty: "" } },
  },
  { name: "network-default", flags: ["--network=default"], spec: { network: "default" } },
  { name: "network-host", flags: ["--network=host"], spec: { network: "host" } },
  { name: "network-none", flags: ["--network=none"], spec: { network: "none" } },
  { name: "no-cache", flags: ["--no-cache"], spec: { noCache: true } },
  {
    name: "no-cache-filter",
    flags: ["--no-cache-filter=base", "--no-cache-filter=release"],
    spec: { noCacheFilter: ["base", "release"] },
  },
  { name: "platform", flags: ["--platform=linux/arm64"], spec: { platforms: ["linux/arm64"] } },
  {
    name: "platforms",
    flags: ["--platform=linux/amd64,linux/arm64"],
    spec: { platforms: ["linux/amd64", "linux/arm64"] },
  },
  { name: "pull", flags: ["--pull"], spec: { pull: true } },
  {
    name: "resource",
    flags: [
      "--resource=memory=2g",
      "--resource=memory-swap=3g",
      "--resource=cpu-shares=512",
      "--resource=cpu-period=100000",
      "--resource=cpu-quota=50000",
      "--resource=cpuset-cpus=0-1",
      "--resource=cpuset-mems=0",
    ],
    spec: {
      stepResources: {
        memory: "2Gi",
        memorySwap: "3Gi",
        cpuShares: 512,
        cpuPeriodMicroseconds: 100_000,
        cpuQuotaMicroseconds: 50_000,
        cpusetCpus: "0-1",
        cpusetMems: "0",
      },
    },
  },
  {
    name: "resource-unlimited-swap",
    flags: ["--resource=memory=2g", "--resource=memory-swap=-1"],
    spec: { stepResources: { memory: "2Gi", unlimitedSwap: true } },
  },
  {
    name: "secret",
    flags: ["--secret=id=npmrc,src=FOLDER/npmrc"],
    spec: { secrets: [{ id: "npmrc", secretKeyRef: { name: "npm", key: "npmrc" } }] },
  },
  { name: "shm-size", flags: ["--shm-size=256m"], spec: { shmSize: "256Mi" } },
  { name: "ssh", flags: ["--ssh=default=FOLDER/key"], spec: { ssh: [{ secretRef }] } },
  { name: "target", flags: ["--target=release"], spec: { target: "release" } },
  {
    name: "ulimit",
    flags: ["--ulimit=nofile=1024:2048", "--ulimit=nproc=64", "--ulimit=core=-1"],
    spec: {
      ulimits: [
        { name: "nofile", soft: 1024, hard: 2048 },
        { name: "nproc", soft: 64 },
        { name: "core", soft: -1 },
      ],
    },
  },
  {
    name: "source-policy",
    flags: [],
    env: { EXPERIMENTAL_BUILDKIT_SOURCE_POLICY: "FOLDER/policy.json" },
    spec: {
      sourcePolicy: {
        rules: [
          {
            action: "convert",
            identifier: "docker-image://docker.io/library/alpine:*",
            replacement: "docker-image://registry.example/alpine:${1}",
          },
          {
            action: "deny",
            identifier: "^https://.*$",
            match: "regex",
            constraints: [{ key: "http.checksum", value: "", condition: "equal" }],
          },
        ],
      },
    },
  },
  {
    name: "frontend",
    flags: ["--build-arg=BUILDKIT_SYNTAX=registry.example/frontend:1"],
    spec: { frontend: { image: "registry.example/frontend:1" } },
  },
];

const git = (more: object) => ({ url: "http://git.example/app.git", ...more });

const contextCases: readonly BuildxCase[] = [
  {
    name: "git",
    flags: [],
    context: "http://git.example/app.git",
    spec: { context: { git: git({}) }, ...path },
  },
  {
    name: "git-fragment",
    flags: [],
    context: "http://git.example/app.git#main:web",
    spec: { context: { git: git({ revision: "main", subdirectory: "web" }) }, ...path },
  },
  {
    name: "git-query",
    flags: [],
    context: `http://git.example/app.git?submodules=false&keep-git-dir=true&checksum=${exampleCommit}&mtime=commit&ref=main&subdir=web`,
    spec: {
      context: {
        git: git({
          revision: "main",
          subdirectory: "web",
          submodules: false,
          keepGitDir: true,
          checksum: exampleCommit,
          mtime: "commit",
        }),
      },
      ...path,
    },
  },
  {
    name: "git-fetch-by-commit",
    flags: [],
    context: `http://git.example/app.git?checksum=${exampleCommit}&fetch-by-commit=true&ref=main`,
    spec: {
      context: { git: git({ revision: "main", checksum: exampleCommit, fetchByCommit: true }) },
      ...path,
    },
  },
  {
    name: "git-ssh",
    // Else buildx fetches the repository first, which is not there, to look for a policy in Rego.
    flags: ["--policy=disabled=true", "--ssh=default=FOLDER/key"],
    context: "git@git.example:shop/app.git#main",
    spec: {
      context: {
        git: {
          url: "git@git.example:shop/app.git",
          revision: "main",
          credentials: { secretRef },
        },
      },
      ...path,
    },
  },
  {
    name: "git-with-other-dockerfile",
    flags: ["--file=docker/Containerfile"],
    context: "http://git.example/app.git#main",
    spec: {
      context: { git: git({ revision: "main" }) },
      dockerfile: { path: "docker/Containerfile" },
    },
  },
  {
    name: "git-with-local-dockerfile",
    flags: ["--file=FOLDER/other/Dockerfile"],
    context: "http://git.example/app.git#main",
    spec: {
      context: { git: git({ revision: "main" }) },
      dockerfile: { inline: "FROM scratch\n" },
    },
  },
  {
    name: "dockerfile-on-stdin",
    flags: [],
    context: "-",
    stdin: "FROM scratch\nLABEL a=b\n",
    spec: { context: { none: {} }, dockerfile: { inline: "FROM scratch\nLABEL a=b\n" } },
  },
  {
    name: "http",
    flags: [],
    context: "http://files.example/context.tar.gz",
    spec: { context: { http: { url: "http://files.example/context.tar.gz" } }, ...path },
  },
  {
    name: "folder-of-a-repository",
    flags: [],
    context: "FOLDER/repository",
    spec: {},
  },
  {
    name: "build-context",
    flags: [
      "--build-context=source=http://git.example/app.git#main:web",
      "--build-context=archive=http://files.example/context.tar.gz",
      "--build-context=docker.io/library/alpine:latest=docker-image://registry.example/alpine:3",
      `--build-context=plain=docker-image://registry.example/base@sha256:${"a".repeat(64)}`,
    ],
    spec: {
      buildContexts: [
        { name: "source", git: git({ revision: "main", subdirectory: "web" }) },
        { name: "archive", http: { url: "http://files.example/context.tar.gz" } },
        { name: "docker.io/library/alpine:latest", image: "registry.example/alpine:3" },
        { name: "plain", image: `registry.example/base@sha256:${"a".repeat(64)}` },
      ],
    },
  },
  {
    name: "build-context-git-query",
    flags: ["--build-context=source=http://git.example/app.git?submodules=false&ref=main"],
    spec: {
      buildContexts: [{ name: "source", git: git({ revision: "main", submodules: false }) }],
    },
  },
  {
    name: "build-context-folder",
    flags: ["--build-context=assets=FOLDER/other", "--build-context=more=FOLDER/context"],
    spec: {
      buildContexts: [
        { name: "assets", configMap: { name: "assets" } },
        { name: "more", inline: { files: [{ path: "a", text: "b" }] } },
      ],
    },
  },
];

/** Every recorded line. */
export const buildxCases: readonly BuildxCase[] = [...flagCases, ...contextCases, ...outputCases];

/** The words after `buildx build`. */
export function wordsOf({ flags, context = "FOLDER/context" }: BuildxCase): readonly string[] {
  return [...flags, context];
}

/** The line as a person writes it. */
export function lineOf(line: BuildxCase): readonly string[] {
  const env = Object.entries(line.env ?? {}).map(([key, value]) => `${key}=${value}`);
  return [...env, "buildx", "build", ...wordsOf(line)];
}
