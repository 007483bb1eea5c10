// Materials as what a session offers: everything the daemon may ask for while it solves, and nothing else.

import {
  type Attachable,
  authProvider,
  filesync,
  inMemoryTree,
  secretsProvider,
  sshProvider,
} from "../../buildkit/index.ts";
import { trustOf } from "../../registry/authorities.ts";
import type { Materials, SshKey } from "../agent.ts";

/** The session services of a job. Throws `KilnError` `SshKeyInvalid`. */
export function attachablesOf(materials: Materials): readonly Attachable[] {
  const { secrets, logins, sshKeys, trees } = materials;
  const directories = [...trees].map(
    ([name, files]) =>
      [name, inMemoryTree(new Map([...files].map(([file, data]) => [file, { data }])))] as const,
  );
  return [
    authProvider(logins, { authority: (domain) => trustOf(materials, { domain }).ca }),
    secretsProvider(async (id) => secrets.get(id)),
    ...(sshKeys.length === 0 ? [] : [sshProvider(byId(sshKeys))]),
    ...(directories.length === 0 ? [] : [filesync(Object.fromEntries(directories))]),
  ];
}

function byId(keys: readonly SshKey[]): Record<string, string[]> {
  const grouped: Record<string, string[]> = {};
  for (const { id, privateKey } of keys) grouped[id] = [...(grouped[id] ?? []), privateKey];
  return grouped;
}

/** Every secret value of a job: what must not be seen in any text that leaves the agent. */
export function secretValues({ secrets, logins, sshKeys, hidden = [] }: Materials): Buffer[] {
  const passwords = [...logins.values()].map((login) =>
    login.kind === "basic" ? login.password : login.token,
  );
  const keys = sshKeys.map(({ privateKey }) => privateKey);
  const attrs = hidden.flatMap((entry) => Object.values(entry.attrs));
  const texts = [...passwords, ...keys, ...attrs];
  return [...secrets.values(), ...texts.map((text) => Buffer.from(text))];
}
