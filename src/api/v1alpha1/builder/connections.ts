// How is something outside of the cluster reached: TLS, SSH, and the API of a Docker engine behind either.

import { z } from "zod";
import { cel, type Rule, rules, text } from "../../schema.ts";
import { SecretRef } from "../shared.ts";

const host = "([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\\[[0-9A-Fa-f:]+\\])";

/** Sources of regular expressions for endpoints, by scheme. */
export const endpointForms = {
  tcp: `tcp://${host}:[0-9]{1,5}`,
  unix: "unix:///[^ \\p{Cc}]+",
  ssh: `ssh://[A-Za-z0-9_][A-Za-z0-9_.-]*@${host}(:[0-9]{1,5})?(/[A-Za-z0-9/._-]+)?`,
} as const;

/** A regular expression that is one of `forms` from end to end. */
export function endpointPattern(...forms: readonly string[]): RegExp {
  return new RegExp(`^(${forms.join("|")})$`, "u");
}

/** TLS with a server. */
export const Tls = z.object({
  secretRef: SecretRef.describe(
    "Secret with ca.crt, tls.crt and tls.key (or ca.pem, cert.pem and key.pem): the authority that signed the server, and the client's certificate.",
  ),
  serverName: text(
    { max: 253 },
    {
      matches: /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/,
      message: "must be a host name, the one in the server's certificate",
    },
  )
    .optional()
    .describe("Name to expect in the server's certificate. Default: the host of endpoint."),
});

/** Who Kiln is to a host behind SSH, and which hosts it trusts. */
export const Ssh = z.object({
  secretRef: SecretRef.describe(
    "Secret with known_hosts, ssh-privatekey and, when the key has one, passphrase. A host whose key is not in known_hosts is not trusted.",
  ),
  agentSocket: text(
    { max: 108 },
    { matches: /^\/[^ \p{Cc}]+$/u, message: "must be an absolute path without blanks" },
  )
    .optional()
    .describe(
      "Socket of an SSH agent in the controller's container, for keys that are in no Secret: the Secret then has known_hosts only.",
    ),
});

const engineEndpoint = text(
  { max: 300 },
  {
    matches: endpointPattern(...Object.values(endpointForms)),
    message:
      "must be unix:///path, tcp://host:port or ssh://user@host, for example tcp://docker.example.com:2376",
  },
);

/** Fields that say where a Docker engine is and how it is reached. */
export const engineConnection = {
  endpoint: engineEndpoint
    .default("unix:///var/run/docker.sock")
    .describe(
      "Address of the engine: unix:///path of a socket in the controller's container, tcp://host:port, or ssh://user@host[:port][/path of its socket].",
    ),
  tls: Tls.optional().describe(
    "TLS with the engine. Without it a tcp:// endpoint is neither secret nor safe.",
  ),
  ssh: Ssh.optional().describe("For an ssh:// endpoint."),
};

/** The rules of an object with `endpoint`, `tls` and `ssh`, among others. */
export function connectionRules(...others: readonly Rule[]): Record<string, unknown> {
  return rules(
    cel(
      "!has(self.tls) || self.endpoint.startsWith('tcp://')",
      "tls needs a tcp:// endpoint: remove tls or change endpoint",
      ".tls",
    ),
    cel(
      "has(self.ssh) == self.endpoint.startsWith('ssh://')",
      "an ssh:// endpoint needs ssh, and no other does: add ssh with its Secret, or remove it",
      ".endpoint",
    ),
    ...others,
  );
}

/** A Docker engine that something else is reached through. */
export const EngineConnection = z.object(engineConnection).meta(connectionRules());

/** TLS with a server. */
export type Tls = z.output<typeof Tls>;
/** SSH with a host. */
export type Ssh = z.output<typeof Ssh>;
/** Where a Docker engine is and how it is reached. */
export type EngineConnection = z.output<typeof EngineConnection>;
