// Authorities of registries that no public one vouches for: by host, as Secrets with logins name them. Pure.
import { type ImageReference, registryHost } from "./reference.ts";
import { loginKey } from "./docker-config.ts";

/** PEM texts by registry: "registry.example:5000". */
export type RegistryAuthorities = ReadonlyMap<string, string>;

/** The registries that a docker config names, those without a login too; none for what is no docker config. */
export function registriesOf(json: string): string[] {
  try {
    const { auths } = JSON.parse(json) as { auths?: Record<string, unknown> };
    return Object.keys(auths ?? {}).map((key) => loginKey(key).split("/")[0] ?? "");
  } catch {
    return [];
  }
}

/** What to trust of a reference's registry, as an option of a request. */
export function trustOf(
  authorities: RegistryAuthorities | undefined,
  { domain }: Pick<ImageReference, "domain">,
): { readonly ca?: string } {
  const ca = authorities?.get(domain) ?? authorities?.get(registryHost(domain));
  return ca === undefined ? {} : { ca };
}
