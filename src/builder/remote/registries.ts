// What a Builder says of registries, for those besides its daemon: whether a certificate has to hold, and which authority
// vouches for it. Keys and client certificates stay where they are.

import type { BuilderSpec } from "../../api/v1alpha1/index.ts";
import type { RegistryFacts } from "../instance.ts";
import { builderFault, readSecret, type SecretReader, valueIn } from "./secrets.ts";

/** Text of a Secret that a registry's entry in `spec.buildkitd.registries` names. */
export interface RegistryText {
  readonly host: string;
  readonly secretName: string;
  readonly key: string;
}

/** Reads it. Throws as `readSecret`, and `SecretInvalid` when the key is missing. */
export async function registryText(
  { host, secretName, key }: RegistryText,
  reader: SecretReader,
  signal: AbortSignal,
): Promise<string> {
  const wanted = { name: secretName, field: "spec.buildkitd.registries", holds: key };
  const text = valueIn(await readSecret(wanted, reader, signal), key);
  if (text !== undefined) return text;
  throw invalid({ host, secretName, key }, `has no key ${key}`, reader);
}

/** What is said of these registries, with authorities read anew. Throws as `registryText`. */
export async function registryFacts(
  { buildkitd }: Pick<BuilderSpec, "buildkitd">,
  hosts: ReadonlySet<string>,
  reader: SecretReader,
  signal: AbortSignal,
): Promise<RegistryFacts> {
  const named = (buildkitd?.registries ?? []).filter(({ host }) => hosts.has(host));
  const authorities = await Promise.all(
    named.map(async ({ host, ca }): Promise<[string, string][]> => {
      if (ca === undefined) return [];
      const at = { host, ...ca };
      const pem = certificatesIn(await registryText(at, reader, signal));
      if (pem === "") throw invalid(at, `has no certificate under key ${ca.key}`, reader);
      return [[host, pem]];
    }),
  );
  const insecure = named.filter((one) => one.http || one.insecure).map(({ host }) => host);
  return { authorities: new Map(authorities.flat()), insecureRegistries: new Set(insecure) };
}

/** The certificates of a PEM text and nothing else: a private key may be in the same file. */
function certificatesIn(pem: string): string {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => `${block}\n`).join("");
}

function invalid({ host, secretName }: RegistryText, what: string, { namespace }: SecretReader) {
  const message = `Secret ${namespace}/${secretName} ${what}, which registry ${host} needs: add it, or correct spec.buildkitd.registries.`;
  return builderFault("SecretInvalid", message);
}
