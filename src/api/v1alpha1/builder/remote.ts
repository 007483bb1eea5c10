// What a person may write about a buildkitd that somebody else runs.

import { z } from "zod";
import { cel, text } from "../../schema.ts";
import {
  connectionRules,
  EngineConnection,
  endpointForms,
  endpointPattern,
  Ssh,
  Tls,
} from "./connections.ts";
import { DataKey, ObjectName } from "../shared.ts";

const name = "[A-Za-z0-9][A-Za-z0-9_.-]*";
const container = `docker-container://${name}`;
const option = `(context|namespace|container)=${name}`;
const pod = `kube-pod://${name}([?]${option}(&${option}){0,2})?`;

const Kubeconfig = z.object({
  secretRef: z
    .object({
      name: ObjectName.describe("Name of the Secret, in the same namespace."),
      key: DataKey.default("kubeconfig").describe("Its key."),
    })
    .describe("Key of a Secret; the kubeconfig in it names no files and no programs."),
});

/** The `remote` driver block. */
export const RemoteDriver = z
  .object({
    endpoint: text(
      { max: 300 },
      {
        matches: endpointPattern(...Object.values(endpointForms), container, pod),
        message:
          "must be tcp://host:port, unix:///path, ssh://user@host, docker-container://name or kube-pod://pod, for example tcp://buildkitd.example.com:1234",
      },
    ).describe(
      "Address of a running buildkitd: tcp://host:port, unix:///absolute/path, ssh://user@host[:port][/path of its socket], docker-container://name, or kube-pod://pod?namespace=&container=&context=.",
    ),
    tls: Tls.optional().describe(
      "Mutual TLS with the daemon. Without it a tcp:// connection is neither secret nor safe.",
    ),
    ssh: Ssh.optional().describe("For an ssh:// endpoint. buildctl has to be installed there."),
    engine: EngineConnection.optional().describe(
      "The Docker engine that a docker-container:// endpoint's container is on. Default: the one at /var/run/docker.sock.",
    ),
    kubeconfig: Kubeconfig.optional().describe(
      "The cluster that a kube-pod:// endpoint's pod is in. Default: this cluster, with the rights of the Builder's service account.",
    ),
  })
  .meta(
    connectionRules(
      cel(
        "!has(self.engine) || self.endpoint.startsWith('docker-container://')",
        "engine needs a docker-container:// endpoint: remove engine or change endpoint",
        ".engine",
      ),
      cel(
        "!has(self.kubeconfig) || self.endpoint.startsWith('kube-pod://')",
        "kubeconfig needs a kube-pod:// endpoint: remove kubeconfig or change endpoint",
        ".kubeconfig",
      ),
      cel(
        "has(self.kubeconfig) || !self.endpoint.matches('[?&]context=')",
        "context= names a context of a kubeconfig: add kubeconfig or remove context=",
        ".endpoint",
      ),
    ),
  );

/** The `remote` driver block. */
export type RemoteDriver = z.output<typeof RemoteDriver>;
