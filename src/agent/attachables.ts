// Materials as what a session offers: everything the daemon may ask for while it solves, and nothing else.

import type { Attachable } from "../buildkit/index.ts";
import type { Materials } from "./agent.ts";

/** The session services of a job. */
export function attachablesOf(_: Materials): readonly Attachable[] {
  return [];
}

/** Every secret value of a job: what must not be seen in any text that leaves the agent. */
export function secretValues({ secrets, logins, sshKeys }: Materials): Buffer[] {
  const passwords = [...logins.values()].map((login) =>
    login.kind === "basic" ? login.password : login.token,
  );
  return [
    ...secrets.values(),
    ...passwords.map((text) => Buffer.from(text)),
    ...sshKeys.map(({ privateKey }) => Buffer.from(privateKey)),
  ];
}
