// How much of a registry's certificate has to hold, and which authorities vouch for it besides the public ones: by host, as
// Secrets with logins and Builders name them. Pure.
import { type ImageReference, registryHost } from "./reference.ts";
import { loginKey } from "./docker-config.ts";

/** PEM texts by registry: "registry.example:5000". */
export type RegistryAuthorities = ReadonlyMap<string, string>;

/** What is known of registries besides their logins. */
export interface RegistryTrust {
  /** Default: none but the public ones. */
  readonly authorities?: RegistryAuthorities;
  /** Those that speak plain HTTP, or whose certificate is overlooked. Default: none. */
  readonly insecureRegistries?: ReadonlySet<string>;
}

/** The registries that a docker config names, those without a login too; none for what is no docker config. */
export function registriesOf(json: string): string[] {
  try {
    const { auths } = JSON.parse(json) as { auths?: Record<string, unknown> };
    return Object.keys(auths ?? {}).map((key) => loginKey(key).split("/")[0] ?? "");
  } catch {
    return [];
  }
}

/** What both say: a registry that both name is vouched for by the authorities of either. */
export function trustOfBoth(a: RegistryTrust, b: RegistryTrust): Required<RegistryTrust> {
  const authorities = new Map(a.authorities);
  for (const [host, ca] of b.authorities ?? []) {
    const other = authorities.get(host);
    authorities.set(host, other === undefined ? ca : `${other}\n${ca}`);
  }
  const insecure = [...(a.insecureRegistries ?? []), ...(b.insecureRegistries ?? [])];
  return { authorities, insecureRegistries: new Set(insecure) };
}

/** What to trust of a reference's registry, as options of a request. `insecure` says that anything is fine. */
export function trustOf(
  { authorities, insecureRegistries }: RegistryTrust,
  { domain }: Pick<ImageReference, "domain">,
  insecure = false,
): { readonly ca?: string; readonly insecure: boolean } {
  const names = [domain, registryHost(domain)];
  const ca = names.map((name) => authorities?.get(name)).find((found) => found !== undefined);
  const isPlain = names.some((name) => insecureRegistries?.has(name));
  return { ...(ca !== undefined && { ca }), insecure: insecure || isPlain };
}
