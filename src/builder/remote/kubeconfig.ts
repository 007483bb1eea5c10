// Which cluster does a kubeconfig in a Secret name? It comes from whoever may write Builders, so what would run programs or
// read files of the controller is refused.

import { KubeConfig } from "@kubernetes/client-node";
import { builderFault } from "./secrets.ts";

/** Members of a cluster or user that make the controller read its own files or run its own programs. */
const ofThisMachine = ["exec", "authProvider", "caFile", "certFile", "keyFile"] as const;

/**
 * The kubeconfig with one context made current. Throws `KilnError` Builder `SecretInvalid`; `where` names the Secret and its
 * key in the message.
 */
export function remoteCluster(text: string, where: string, context?: string): KubeConfig {
  const config = new KubeConfig();
  try {
    config.loadFromString(text);
  } catch (cause) {
    throw builderFault("SecretInvalid", `${where} is no kubeconfig: correct it.`, cause);
  }
  if (context !== undefined) {
    if (config.getContextObject(context) === null)
      throw builderFault(
        "SecretInvalid",
        `${where} has no context ${context}: correct one of them.`,
      );
    config.setCurrentContext(context);
  }
  const [cluster, user] = [config.getCurrentCluster(), config.getCurrentUser()];
  if (cluster === null)
    throw builderFault("SecretInvalid", `${where} has no current context with a cluster: set one.`);
  const members = { ...cluster, ...user } as Readonly<Record<string, unknown>>;
  const foreign = ofThisMachine.find((name) => members[name] !== undefined);
  if (foreign !== undefined) {
    const message = `${where} uses ${foreign}, which would be a program or a file of the controller: put certificates and tokens into the kubeconfig itself.`;
    throw builderFault("SecretInvalid", message);
  }
  return config;
}
