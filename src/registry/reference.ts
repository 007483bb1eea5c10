// Image references as docker reads them: "debian" → docker.io/library/debian:latest. Pure.
// Grammar: github.com/distribution/reference v0.6 (the one BuildKit v0.34.2 uses).
import { KilnError } from "../errors/index.ts";

/** A reference in parts; `domain` and `repository` are always there. */
export interface ImageReference {
  /** "docker.io", "registry.example:5000", "[::1]:5000". */
  readonly domain: string;
  /** "library/debian". */
  readonly repository: string;
  readonly tag?: string;
  /** "sha256:<hex>". */
  readonly digest?: string;
}

const component = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const domainLabel = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const domainForm = new RegExp(
  `^(?:${domainLabel}(?:\\.${domainLabel})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?$`,
);
const tagForm = /^\w[\w.-]{0,127}$/;
const digestForm = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$/;
const digestLengths: Readonly<Record<string, number>> = { sha256: 64, sha384: 96, sha512: 128 };
const maxNameLength = 255;

function invalid(text: string, why: string): KilnError {
  return new KilnError({
    class: "User",
    reason: "InvalidReference",
    message: `Image reference "${text}" ${why}; write it as [registry/]name[:tag][@digest].`,
  });
}

/** A first part is a registry when it has a dot or a port, is localhost, or could not be a path (upper case). */
function splitDomain(name: string): { domain: string; path: string } {
  const slash = name.indexOf("/");
  const first = slash === -1 ? "" : name.slice(0, slash);
  const isDomain =
    first !== "" && (/[.:]/.test(first) || first === "localhost" || first.toLowerCase() !== first);
  const domain = isDomain ? first : "docker.io";
  const path = isDomain ? name.slice(slash + 1) : name;
  const hub = domain === "index.docker.io" || domain === "docker.io";
  if (!hub) return { domain, path };
  return { domain: "docker.io", path: path.includes("/") ? path : `library/${path}` };
}

function checkDigest(text: string, digest: string): void {
  const [algorithm, hex] = digest.split(":");
  const length = digestLengths[algorithm ?? ""];
  if (!digestForm.test(digest) || length === undefined || hex?.length !== length) {
    throw invalid(text, "has a digest that is not sha256:<64 hex digits>");
  }
  if (hex !== hex.toLowerCase()) throw invalid(text, "has a digest with upper-case digits");
}

/** Cuts "name:tag@digest"; a colon before the last slash is a port. */
function splitReference(text: string): { name: string; tag?: string; digest?: string } {
  const at = text.indexOf("@");
  const named = at === -1 ? text : text.slice(0, at);
  const colon = named.lastIndexOf(":");
  const hasTag = colon > named.lastIndexOf("/");
  return {
    name: hasTag ? named.slice(0, colon) : named,
    ...(hasTag ? { tag: named.slice(colon + 1) } : {}),
    ...(at === -1 ? {} : { digest: text.slice(at + 1) }),
  };
}

function checkName(text: string, domain: string, path: string): void {
  if (path !== path.toLowerCase()) throw invalid(text, "has upper-case letters in its name");
  if (!domainForm.test(domain)) throw invalid(text, "has no valid registry");
  if (!path.split("/").every((part) => component.test(part))) {
    throw invalid(text, "has no valid name");
  }
  if (path.length > maxNameLength) throw invalid(text, "has a name of more than 255 characters");
}

/** Reads and normalises a reference. Adds no tag. Throws KilnError User/InvalidReference. */
export function parseReference(text: string): ImageReference {
  const { name, ...version } = splitReference(text);
  if (/^[0-9a-f]{64}$/.test(name)) throw invalid(text, "is an image id, not a name");
  const { domain, path } = splitDomain(name);
  checkName(text, domain, path);
  const { tag, digest } = version;
  if (tag !== undefined && !tagForm.test(tag)) throw invalid(text, "has no valid tag");
  if (digest !== undefined) checkDigest(text, digest);
  return { domain, repository: path, ...version };
}

/** The whole reference: "docker.io/library/debian:bookworm". Reading it again gives the same parts. */
export function referenceText(reference: ImageReference): string {
  const tag = reference.tag === undefined ? "" : `:${reference.tag}`;
  const digest = reference.digest === undefined ? "" : `@${reference.digest}`;
  return `${reference.domain}/${reference.repository}${tag}${digest}`;
}

/** The same with ":latest" when it names neither a tag nor a digest. */
export function withDefaultTag(reference: ImageReference): ImageReference {
  if (reference.tag !== undefined || reference.digest !== undefined) return reference;
  return { ...reference, tag: "latest" };
}

/** The host that serves a domain's API: Docker Hub answers elsewhere than it is named. */
export function registryHost(domain: string): string {
  return domain === "docker.io" ? "registry-1.docker.io" : domain;
}
