// Which files are in the container of a Builder before it starts? buildkitd.toml, what it names of registries, and the facts
// of a workflow. Secrets are read with the rights of the Builder's service account.

import type { BuilderSpec, DockerContainerDriver } from "../../api/v1alpha1/index.ts";
import type { TarFile } from "../../docker/index.ts";
import { daemonConfig } from "../config/daemon.ts";
import { registriesPath, registryFolder } from "../config/typed.ts";
import { registryText } from "../remote/registries.ts";
import { builderFault, type SecretReader } from "../remote/secrets.ts";
import { configPath } from "./container.ts";

/** BuildKit puts what the JSON files in this folder hold into provenance (buildx: provenance-add-gha). */
const provenancePath = "/etc/buildkit/provenance.d/github_actions_context.json";

/**
 * The files. Throws `KilnError` Builder `InvalidConfig`, `SecretNotFound`, `SecretForbidden` or `SecretInvalid`; the API server's
 * errors otherwise.
 */
export async function containerFiles(
  spec: BuilderSpec,
  driver: DockerContainerDriver,
  from: { readonly defaultConfig: string | undefined; readonly reader: SecretReader },
  signal: AbortSignal,
): Promise<TarFile[]> {
  const config = daemonConfig(spec, from.defaultConfig);
  if ("problem" in config) throw builderFault(config.problem.reason, config.problem.message);
  const { githubContext } = driver;
  return [
    ...(config.text === undefined ? [] : [file(configPath, config.text)]),
    ...(githubContext === undefined
      ? []
      : [file(provenancePath, `${JSON.stringify(githubContext)}\n`)]),
    ...(await registryFiles(spec, from.reader, signal)),
  ];
}

function file(path: string, text: string, mode = 0o644): TarFile {
  return { path: path.slice(1), data: Buffer.from(text), mode };
}

async function registryFiles(
  spec: BuilderSpec,
  reader: SecretReader,
  signal: AbortSignal,
): Promise<TarFile[]> {
  const files: TarFile[] = [];
  for (const { host, ca, clientCertificate: client } of spec.buildkitd?.registries ?? []) {
    const folder = `${registriesPath}/${registryFolder(host)}`;
    const parts = [
      ...(ca === undefined ? [] : [{ to: "ca.crt", secretName: ca.secretName, key: ca.key }]),
      ...(client === undefined
        ? []
        : [
            { to: "tls.crt", secretName: client.secretName, key: client.certificateKey },
            { to: "tls.key", secretName: client.secretName, key: client.privateKeyKey },
          ]),
    ];
    for (const { to, secretName, key } of parts) {
      const text = await registryText({ host, secretName, key }, reader, signal);
      files.push(file(`${folder}/${to}`, text, to === "tls.key" ? 0o600 : 0o644));
    }
  }
  return files;
}
