// --secret, --ssh and docker's config.json: what a build may use and must not keep.
import { readFileSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import {
  maxSecretBytes,
  type DockerConfig,
  type SecretLookup,
  type SshSource,
} from "../../buildkit/index.ts";
import { noLogins, parseDockerConfig } from "../../registry/docker-config.ts";
import { goBoolean } from "../../buildrun/plan/csv.ts";
import { csvPairs } from "../csv.ts";
import { invalidFlag } from "../flag-error.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Where a secret is read when a step asks for it. */
export type SecretSource = { readonly file: string } | { readonly env: string };

const secretKeys = new Set(["type", "id", "src", "source", "env"]);

/** Reads one value: `id=x,src=file`, `id=x,env=NAME`, `type=env,id=x`… Throws KilnError User/InvalidFlag. */
export function parseSecret(
  value: string,
  environment: Environment,
): readonly [id: string, source: SecretSource] {
  const fields = secretFields(value);
  const id = fields.get("id") ?? "";
  if (id === "") throw invalidFlag("--secret", "id=… is missing.");
  const src = fields.get("src") ?? fields.get("source") ?? "";
  const env = fields.get("env") ?? "";
  if (env === "" && src === "")
    return [id, environment[id] === undefined ? secretFile(id, id) : { env: id }];
  if (env === "" && fields.get("type") === "env") return [id, { env: src }];
  const file = src === "" ? undefined : secretFile(id, src);
  // Where both are given the environment counts, as for buildctl.
  return [id, env !== "" || file === undefined ? { env } : file];
}

function secretFields(value: string): ReadonlyMap<string, string> {
  const flag = "--secret";
  const fields = csvPairs(flag, value);
  for (const key of fields.keys())
    if (!secretKeys.has(key))
      throw invalidFlag(flag, `${key} is none of ${[...secretKeys].join(", ")}.`);
  const type = fields.get("type") ?? "file";
  if (type !== "file" && type !== "env")
    throw invalidFlag(flag, `type=${type} is neither file nor env.`);
  return fields;
}

function secretFile(id: string, file: string): SecretSource {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found === undefined) throw invalidFlag("--secret", `${file} of ${id} is not there.`);
  if (found.size > maxSecretBytes)
    throw invalidFlag("--secret", `${file} of ${id} has more than ${maxSecretBytes} bytes.`);
  return { file };
}

/** Reads secrets when they are asked for, not before. */
export function secretLookup(
  sources: ReadonlyMap<string, SecretSource>,
  environment: Environment,
): SecretLookup {
  return async (id) => {
    const source = sources.get(id);
    if (source === undefined) return undefined;
    return "env" in source
      ? Buffer.from(environment[source.env] ?? "")
      : await readFile(source.file);
  };
}

/** Reads one value: `default`, `id=socket`, `id=key,key`, `id=socket,raw=true`. Throws KilnError User/InvalidFlag. */
export function parseSsh(
  value: string,
  environment: Environment,
): readonly [id: string, source: SshSource] {
  const flag = "--ssh";
  const at = value.indexOf("=");
  const id = (at === -1 ? value : value.slice(0, at)) || "default";
  const fields = at === -1 ? [] : value.slice(at + 1).split(",");
  const paths = fields.filter((field) => !field.startsWith("raw="));
  const raws = fields.filter((field) => field.startsWith("raw=")).map((field) => field.slice(4));
  const bad = raws.find((text) => goBoolean(text) === undefined);
  if (bad !== undefined) throw invalidFlag(flag, `raw=${bad} is neither true nor false.`);
  const [only = "", second] = paths;
  if (goBoolean(raws.at(-1)) === true) {
    if (only === "" || second !== undefined)
      throw invalidFlag(flag, `raw=true needs exactly one socket for ${id}.`);
    return [id, { raw: only }];
  }
  if (only === "" && second === undefined) {
    const agent = environment["SSH_AUTH_SOCK"] ?? "";
    if (agent === "") throw invalidFlag(flag, "no ssh-agent runs: $SSH_AUTH_SOCK is not set.");
    return [id, { agent }];
  }
  return [id, agentOrKeys(id, paths)];
}

function agentOrKeys(id: string, paths: readonly string[]): SshSource {
  const keys: Buffer[] = [];
  for (const name of paths) {
    const found = statSync(name, { throwIfNoEntry: false });
    if (found === undefined) throw invalidFlag("--ssh", `${name} of ${id} is not there.`);
    if (found.isSocket()) {
      if (paths.length > 1)
        throw invalidFlag("--ssh", `give ${id} one agent's socket, or only keys.`);
      return { agent: name };
    }
    keys.push(readFileSync(name));
  }
  return keys;
}

/** Logins of $DOCKER_CONFIG or ~/.docker; none when there is no file. Throws KilnError User/InvalidDockerConfig. */
export function dockerLogins(environment: Environment): DockerConfig {
  const folder = environment["DOCKER_CONFIG"] ?? path.join(os.homedir(), ".docker");
  let text: string;
  try {
    text = readFileSync(path.join(folder, "config.json"), "utf8");
  } catch {
    return noLogins;
  }
  return parseDockerConfig(text);
}
