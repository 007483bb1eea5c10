// Addresses that are reached through another program's standard input and output: a container, a pod, a host behind
// SSH. That program runs `buildctl dial-stdio` on the other side. Pure.
import {
  dialStdio,
  parseStdioAddress,
  type ContainerAddress,
  type PodAddress,
  type SshAddress,
} from "../../buildkit/index.ts";
import { KilnError } from "../../errors/index.ts";
import { invalidFlag } from "../flag-error.ts";

function container({ scheme, container: name }: ContainerAddress): string[] {
  const program = scheme === "docker-container" ? "docker" : "podman";
  return [program, "exec", "-i", name, ...dialStdio()];
}

function pod(address: PodAddress): string[] {
  const option = (key: "context" | "namespace" | "container"): string[] => {
    const value = address[key];
    return value === undefined ? [] : [`--${key}=${value}`];
  };
  return [
    ...["kubectl", ...option("context"), ...option("namespace"), "exec", "-i"],
    ...[...option("container"), address.pod, "--", ...dialStdio()],
  ];
}

function ssh({ user, host, port, socket }: SshAddress): string[] {
  return [
    "ssh",
    ...(user === undefined ? [] : ["-l", user]),
    ...(port === undefined ? [] : ["-p", String(port)]),
    ...["--", host, ...dialStdio(socket)],
  ];
}

/**
 * The program and its arguments that lead to a daemon; undefined when the address is none of these schemes. Throws
 * KilnError User/InvalidFlag for a name that is none.
 */
export function stdioCommand(text: string): readonly string[] | undefined {
  const address = parsed(text);
  if (address === undefined) return undefined;
  switch (address.scheme) {
    case "ssh":
      return ssh(address);
    case "kube-pod":
      return pod(address);
    case "docker-container":
    case "podman-container":
      return container(address);
  }
}

function parsed(text: string) {
  try {
    return parseStdioAddress(text);
  } catch (error) {
    if (error instanceof KilnError) throw invalidFlag("--addr", error.message, error);
    throw error;
  }
}
