// Where the request of a BuildRun differs from that of the buildx line that says the same, and why. Each difference is
// expected in exactly these recordings: one that is gone is a mistake in this table.

/** One difference. */
export interface Difference {
  /** Field of the request. */
  readonly path: string;
  /** What buildx sends; nothing when absent. */
  readonly buildx?: string;
  /** What Kiln sends; nothing when absent. */
  readonly kiln?: string;
}

/** Differences for one reason, which docs/buildrun.md tells under the same title. */
export interface Explained {
  readonly title: string;
  readonly differences: readonly Difference[];
  /** Recordings that have them. */
  readonly only?: readonly string[];
  /** Recordings that do not have them, if all others do. */
  readonly except?: readonly string[];
}

const provenance = "frontendAttrs.attest:provenance";
const pushing = ["output-registry", "push", "tag-without-tag", "annotation"];
const asksProvenance = ["attest", "provenance-true", "provenance-attributes"];

/** What buildx puts into an entry of a cache, and Kiln only where the daemon is asked. */
function login(kind: string, attrs: Readonly<Record<string, string>>): readonly Explained[] {
  const at = (path: string): Difference[] =>
    Object.entries(attrs).map(([attr, buildx]) => ({ path: `${path}.${attr}`, buildx }));
  const title = "logins of caches";
  const imports = [...at("cache.imports.0.attrs"), ...at("frontendAttrs.cache-imports.0.Attrs")];
  return [
    { title, differences: imports, only: [`cache-from-${kind}`] },
    { title, differences: at("cache.exports.0.attrs"), only: [`cache-to-${kind}`] },
  ];
}
const calls = ["call-outline", "call-check", "call-output", "call-other", "check"];

/** Every difference. */
export const explained: readonly Explained[] = [
  ...login("s3", { access_key_id: "id", secret_access_key: "key" }),
  ...login("azblob", { secret_access_key: "AZURE-KEY" }),
  ...login("gha", { token: "GHA-TOKEN", ghtoken: "token" }),
  {
    title: "folder of a local cache",
    differences: [
      { path: "cache.exports.0.attrs.dest", buildx: "FOLDER/cache", kiln: "shop/main" },
    ],
    only: ["cache-to-local"],
  },
  {
    title: "folder of a local cache",
    differences: [
      { path: "cache.imports.0.attrs.src", buildx: "FOLDER/cached", kiln: "shop/main" },
      {
        path: "frontendAttrs.cache-imports.0.Attrs.src",
        buildx: "FOLDER/cached",
        kiln: "shop/main",
      },
    ],
    only: ["cache-from-local"],
  },
  {
    title: "place of files",
    differences: [
      {
        path: "exporters.0.attrs.dest",
        kiln: '{"kind":"artifact","ref":"registry.example/files:1","insecure":false}',
      },
    ],
    only: ["output-oci", "output-docker", "output-tar", "output-local"],
  },
  {
    title: "form of what is loaded",
    differences: [
      { path: "exporters.0.attrs.dest", kiln: '{"kind":"engine"}' },
      { path: "exporters.0.attrs.prefer-image-digest", buildx: "true" },
      { path: "exporters.0.type", buildx: "oci", kiln: "docker" },
    ],
    only: ["load"],
  },
  {
    title: "ids of cache mounts",
    differences: [
      { path: "frontendAttrs.build-arg:BUILDKIT_CACHE_MOUNT_NS", kiln: "shop/default" },
    ],
    except: ["frontend"],
  },
  {
    title: "provenance by default",
    differences: [
      { path: provenance, buildx: "" },
      { path: `${provenance}.mode`, buildx: "min" },
      { path: `${provenance}.inline-only`, buildx: "true" },
    ],
    except: [...asksProvenance, "none-without-default-attestations", "provenance-false"],
  },
  {
    title: "id of the builder",
    differences: [{ path: `${provenance}.builder-id`, kiln: "kiln:builder" }],
    only: asksProvenance,
  },
  {
    title: "type of an attestation",
    differences: [{ path: `${provenance}.type`, buildx: "provenance" }],
    only: asksProvenance,
  },
  {
    title: "type of an attestation",
    differences: [{ path: "frontendAttrs.attest:sbom.type", buildx: "sbom" }],
    only: ["attest", "sbom-generator"],
  },
  {
    title: "mode of provenance",
    differences: [{ path: `${provenance}.mode`, kiln: "max" }],
    only: ["provenance-true"],
  },
  {
    title: "folder of the Dockerfile",
    differences: [
      { path: "frontendAttrs.filename", buildx: "Containerfile", kiln: "docker/Containerfile" },
    ],
    only: ["file"],
  },
  {
    title: "place of an inline Dockerfile",
    differences: [{ path: "frontendAttrs.dockerfilekey", kiln: "dockerfile" }],
    only: ["file-of-another-folder"],
  },
  {
    title: "folders as named contexts",
    differences: [
      { path: "frontendAttrs.context:assets", buildx: "local:assets", kiln: "local:named-0" },
      { path: "frontendAttrs.context:more", buildx: "local:more", kiln: "local:named-1" },
      { path: "frontendAttrs.sharedkey:localdir:assets", buildx: "other:<node>" },
      { path: "frontendAttrs.sharedkey:localdir:more", buildx: "context:<node>" },
    ],
    only: ["build-context-folder"],
  },
  {
    title: "commit of a folder",
    differences: [
      { path: "frontendAttrs.vcs:localdir:context", buildx: "." },
      { path: "frontendAttrs.vcs:localdir:dockerfile", buildx: "." },
      { path: "frontendAttrs.vcs:revision", buildx: "<commit>" },
      { path: "frontendAttrs.vcs:source", buildx: "https://git.example/app.git" },
    ],
    only: ["folder-of-a-repository"],
  },
  {
    title: "another frontend",
    differences: [
      { path: "frontendAttrs.build-arg:BUILDKIT_SYNTAX", buildx: "registry.example/frontend:1" },
    ],
    only: ["frontend"],
  },
  {
    title: "questions",
    differences: [{ path: "internal", buildx: "true" }],
    only: calls,
  },
  {
    title: "questions",
    differences: [
      { path: "exporters.0.type", buildx: "image" },
      { path: "exporters.0.attrs.name", buildx: "registry.example/app:1" },
      { path: "exporters.0.attrs.push", buildx: "true" },
      { path: "exporters.0.attrs.unpack", buildx: "false" },
    ],
    only: ["call-output"],
  },
  {
    title: "no unpacking",
    differences: [{ path: "exporters.0.attrs.unpack", buildx: "false" }],
    only: pushing,
  },
  {
    title: "what is false",
    differences: [{ path: "exporters.0.attrs.push", buildx: "false" }],
    only: ["output-image-push-false"],
  },
  {
    title: "what is false",
    differences: [{ path: "exporters.1.attrs.push", buildx: "false" }],
    only: ["outputs"],
  },
  {
    title: "what is false",
    differences: [{ path: "cache.exports.1.attrs.ignore-error", buildx: "false" }],
    only: ["cache-to-several"],
  },
  {
    title: "level of an annotation",
    differences: [
      { path: "exporters.0.attrs.annotation.org.example.plain", buildx: "1" },
      { path: "exporters.0.attrs.annotation-manifest.org.example.plain", kiln: "1" },
    ],
    only: ["annotation"],
  },
  {
    title: "failing cache exports",
    differences: [{ path: "cache.exports.0.attrs.ignore-error", kiln: "true" }],
    only: ["cache-to"],
  },
  {
    title: "mode of a cache",
    differences: [{ path: "cache.exports.0.attrs.mode", kiln: "min" }],
    only: ["cache-to"],
  },
  {
    title: "mode of a cache",
    differences: [{ path: "cache.exports.1.attrs.mode", kiln: "min" }],
    only: ["cache-to-several"],
  },
];
