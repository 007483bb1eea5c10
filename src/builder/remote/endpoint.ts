// How is a buildkitd that somebody else runs reached? The address from the spec, what else it needs from Secrets, read with
// the rights of the Builder's service account and never kept.

import type { RemoteDriver } from "../../api/v1alpha1/index.ts";
import {
  dialStdio,
  type ContainerAddress,
  type Endpoint,
  type PodAddress,
} from "../../buildkit/index.ts";
import { execInContainer } from "../../docker/index.ts";
import { isApiError } from "../../kube/errors.ts";
import { kubeClient } from "../../kube/rest.ts";
import { engineOf, hostStream, parsed, socketEndpoint, sshHost } from "./hosts.ts";
import { remoteCluster } from "./kubeconfig.ts";
import { builderFault, readSecret, type SecretReader, valueIn } from "./secrets.ts";

/**
 * The endpoint of a remote daemon; `field` is where the driver block stands in the spec, for messages. Throws `KilnError` of
 * class Builder with the reason `SecretNotFound`, `SecretForbidden`, `SecretInvalid` or `InvalidSpec`; the API server's errors
 * otherwise. Dialling it rejects with such errors too: `HostKeyUnknown`, `SSHDenied`, `ContainerNotFound`,
 * `ContainerNotRunning`, `PodNotFound`, `PodNotRunning`, `ExecForbidden`.
 */
export async function remoteEndpoint(
  driver: RemoteDriver,
  { field, reader }: { readonly field: string; readonly reader: SecretReader },
  signal: AbortSignal,
): Promise<Endpoint> {
  const address = parsed(driver.endpoint, field);
  if (address === undefined) {
    return await socketEndpoint(driver, { field, reader }, signal);
  }
  switch (address.scheme) {
    case "ssh": {
      const host = await sshHost(address, driver.ssh, { field, reader }, signal);
      return hostStream(driver.endpoint, host, dialStdio(address.socket));
    }
    case "kube-pod":
      return await podEndpoint(address, driver, reader, signal);
    case "docker-container":
    case "podman-container":
      return await containerEndpoint(address, driver, { field, reader }, signal);
  }
}

const ownEngine = { endpoint: "unix:///var/run/docker.sock" } as const;

async function containerEndpoint(
  { container }: ContainerAddress,
  driver: RemoteDriver,
  { field, reader }: { readonly field: string; readonly reader: SecretReader },
  signal: AbortSignal,
): Promise<Endpoint> {
  const at = { field: `${field}.engine`, reader };
  const engine = await engineOf(driver.engine ?? ownEngine, at, signal);
  const dial = (dialling: AbortSignal) => execInContainer(engine, container, dialStdio(), dialling);
  return { kind: "stream", name: driver.endpoint, dial };
}

async function podEndpoint(
  { pod, container, context, namespace }: PodAddress,
  driver: RemoteDriver,
  reader: SecretReader,
  signal: AbortSignal,
): Promise<Endpoint> {
  const at = { name: pod, namespace: namespace ?? reader.namespace, container };
  const name = driver.endpoint;
  if (driver.kubeconfig === undefined) {
    const client = reader.client.asServiceAccount(reader.namespace, reader.serviceAccountName);
    const dial = (dialling: AbortSignal) =>
      client.exec(at, dialStdio(), dialling).catch((error: unknown) => {
        throw podFault(
          error,
          at,
          `Service account ${reader.namespace}/${reader.serviceAccountName}`,
        );
      });
    return { kind: "stream", name, dial };
  }
  const { secretRef } = driver.kubeconfig;
  const wanted = {
    name: secretRef.name,
    field: "spec.remote.kubeconfig.secretRef",
    holds: `a kubeconfig under ${secretRef.key}`,
  };
  const where = `Secret ${reader.namespace}/${secretRef.name}, key ${secretRef.key},`;
  const text = valueIn(await readSecret(wanted, reader, signal), secretRef.key);
  if (text === undefined)
    throw builderFault("SecretInvalid", `${where} is missing: add a kubeconfig.`);
  const cluster = remoteCluster(text, where, context);
  const place = { ...at, namespace: namespace ?? namespaceOf(cluster) };
  const dial = async (dialling: AbortSignal) => {
    const client = kubeClient(cluster, { userAgent: "kiln-controller" });
    try {
      const stream = await client.exec(place, dialStdio(), dialling);
      stream.once("close", () => client.close());
      return stream;
    } catch (error) {
      client.close();
      throw podFault(error, place, "The user of the kubeconfig");
    }
  };
  return { kind: "stream", name, dial };
}

function namespaceOf(cluster: ReturnType<typeof remoteCluster>): string {
  return cluster.getContextObject(cluster.getCurrentContext())?.namespace ?? "default";
}

function podFault(
  error: unknown,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  who: string,
): unknown {
  const pod = `Pod ${namespace}/${name}`;
  if (isApiError(error, "NotFound"))
    return builderFault(
      "PodNotFound",
      `${pod} does not exist: start it, or correct its name.`,
      error,
    );
  if (isApiError(error, "Forbidden")) {
    const message = `${who} may not run programs in ${pod}: allow it "get" and "create" on pods/exec there.`;
    return builderFault("ExecForbidden", message, error);
  }
  // 400 for a pod that is done or has no such container, 500 for a container that does not run.
  if (isApiError(error) && (error.status === 400 || /container not found/.test(error.message))) {
    const said = error.message.replace(/[.]?$/, ".");
    return builderFault(
      "PodNotRunning",
      `${pod} has no running container to exec in: ${said}`,
      error,
    );
  }
  return error;
}
