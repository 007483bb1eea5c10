// The table of address schemes, as buildctl and buildx write them: what each has, and what it leads through. The CLI
// and the drivers of Builders both read addresses with it. Pure.
import { KilnError } from "../../errors/index.ts";

/** What a scheme's address looks like, and what on the way to the daemon has to be there. */
export interface Scheme {
  readonly form: string;
  /** Undefined: bytes go straight to the daemon. */
  readonly through?: "container" | "pod" | "host";
}

/** Every scheme; `npipe` is for Windows hosts and left out. */
export const schemes = {
  tcp: { form: "tcp://host:port" },
  unix: { form: "unix:///path" },
  ssh: { form: "ssh://[user@]host[:port][/path/to/buildkitd.sock]", through: "host" },
  "docker-container": { form: "docker-container://name", through: "container" },
  "podman-container": { form: "podman-container://name", through: "container" },
  "kube-pod": { form: "kube-pod://pod?namespace=&container=&context=", through: "pod" },
} as const satisfies Record<string, Scheme>;

/** A container on an engine. */
export interface ContainerAddress {
  readonly scheme: "docker-container" | "podman-container";
  readonly container: string;
}

/** A pod of a cluster. What is undefined is the kubeconfig's, or the pod's first container. */
export interface PodAddress {
  readonly scheme: "kube-pod";
  readonly pod: string;
  readonly namespace?: string;
  readonly container?: string;
  readonly context?: string;
}

/** A host behind SSH. */
export interface SshAddress {
  readonly scheme: "ssh";
  readonly user?: string;
  readonly host: string;
  readonly port?: number;
  /** Absolute; of the daemon's socket there. */
  readonly socket?: string;
}

/** An address that leads through something that runs a program of ours: `dialStdio`. */
export type StdioAddress = ContainerAddress | PodAddress | SshAddress;

const name = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;
const sshHost = /^(?:[A-Za-z0-9][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+\])$/;
const socketPath = /^\/[A-Za-z0-9/._-]+$/;
const podOptions = ["context", "namespace", "container"] as const;

function invalid(message: string): KilnError {
  return new KilnError({ class: "User", reason: "InvalidEndpoint", message });
}

function checked(what: string, text: string, pattern = name): string {
  // It may become an argument of a program: it must not be read as one of its options.
  if (!pattern.test(text)) throw invalid(`"${text}" is not the name of a ${what}.`);
  return text;
}

/** Not URL's business: it takes names such as "b.1" for numbers. */
const parts =
  /^([a-z-]+):\/\/(?:([^@/?]*)@)?(\[[^\]/?]*\]|[^@/:?]*)(?::([0-9]{1,5}))?(\/[^?]*)?(?:\?(.*))?$/;

function throughOf(text: string): [string, Scheme] | undefined {
  const scheme = text.split(":")[0] ?? "";
  const found = Object.entries(schemes).find(([one]) => one === scheme);
  return found !== undefined && "through" in found[1] ? found : undefined;
}

/**
 * Reads an address that leads through a container, a pod or a host; undefined when it is of another scheme. Throws
 * KilnError User/InvalidEndpoint for a name that is none.
 */
export function parseStdioAddress(text: string): StdioAddress | undefined {
  const entry = throughOf(text);
  if (entry === undefined) return undefined;
  const match = parts.exec(text);
  if (match === null) throw invalid(`"${text}" is not written ${entry[1].form}.`);
  const [, scheme = "", user, host = "", port, path, query] = match;
  if (scheme === "ssh" && query === undefined) return ssh(user, host, port, path);
  if (user !== undefined || port !== undefined || (path ?? "/") !== "/")
    throw invalid(`"${text}" is not written ${entry[1].form}.`);
  if (scheme === "kube-pod") return pod(host, new URLSearchParams(query));
  if (query !== undefined) throw invalid(`"${text}" is not written ${entry[1].form}.`);
  const container = checked("container", host);
  return { scheme: scheme === "docker-container" ? scheme : "podman-container", container };
}

function pod(host: string, query: URLSearchParams): PodAddress {
  const unknown = [...query.keys()].find((key) => !podOptions.some((one) => one === key));
  if (unknown !== undefined)
    throw invalid(`kube-pod:// has context, namespace and container, not ${unknown}.`);
  const options = podOptions.flatMap((key) => {
    const value = query.get(key);
    return value === null ? [] : [[key, checked(key, value)] as const];
  });
  return { scheme: "kube-pod", pod: checked("pod", host), ...Object.fromEntries(options) };
}

function ssh(
  user: string | undefined,
  host: string,
  port: string | undefined,
  path: string | undefined,
): SshAddress {
  const socket = path === undefined || path === "/" ? undefined : path;
  if (socket !== undefined && !socketPath.test(socket))
    throw invalid("the path of the socket may have letters, digits, '/', '.', '_' and '-'.");
  const number = port === undefined ? undefined : Number(port);
  if (number !== undefined && (number < 1 || number > 65_535))
    throw invalid(`${port} is not a port.`);
  return {
    scheme: "ssh",
    ...(user === undefined || user === "" ? {} : { user: checked("user", user) }),
    host: checked("host", host, sshHost).replace(/^\[|\]$/g, ""),
    ...(number === undefined ? {} : { port: number }),
    ...(socket === undefined ? {} : { socket }),
  };
}

/** What is run on the other side: its standard input and output are the daemon's socket. */
export function dialStdio(socket?: string): readonly string[] {
  return [
    "buildctl",
    ...(socket === undefined ? [] : ["--addr", `unix://${socket}`]),
    "dial-stdio",
  ];
}
