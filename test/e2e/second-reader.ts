// A second reader of an agent's events, beside the controller: with a certificate of Kiln's own authority, from the machine
// that is the node. Nothing a user can do; it shows what controllers that come and go do to a build's log.

import { RemoteAgent } from "../../src/agent/wire/remote.ts";
import { issueClient } from "../../src/builder/pki/authority.ts";
import { agentPort, serverName } from "../../src/builder/names.ts";
import { cluster } from "./fixture.ts";

/** Connects to the agent in a pod of Builder `default`. */
export async function secondReader(namespace: string, pod: string): Promise<RemoteAgent> {
  const text = await cluster.kubectl([
    "get",
    "secret",
    "kiln-ca",
    "-n",
    "kiln-system",
    "-o",
    "json",
  ]);
  const { data } = JSON.parse(text) as { data: Record<string, string> };
  const pem = (key: string): string => Buffer.from(data[key] ?? "", "base64").toString("utf8");
  const authority = { certificate: pem("tls.crt"), key: pem("tls.key"), bundle: pem("ca.crt") };
  const { ca, certificate: cert, key } = await issueClient(authority, new Date());
  const host = await cluster.kubectl([
    ...["get", "pod", pod, "-n", namespace],
    ...["-o", "jsonpath={.status.podIP}"],
  ]);
  const ref = { kind: "Builder", namespace, name: "default" } as const;
  const tls = { ca, cert, key, serverName: serverName(ref, namespace) };
  return new RemoteAgent({ kind: "tcp", host, port: agentPort, tls });
}

/** Everything that the steps of a job print, to its end, in lines. */
export async function linesOf(reader: RemoteAgent, ref: string): Promise<string[]> {
  let text = "";
  for await (const event of reader.attach(ref, 0, AbortSignal.timeout(300_000)))
    if (event.kind === "solve" && event.event.kind === "log")
      text += Buffer.from(event.event.data).toString("utf8");
  return text.split("\n").filter((line) => line !== "");
}
