// Addresses that are reached through another program's standard input and output, as buildctl and buildx know them:
// a container, a pod, a host behind SSH. That program runs `buildctl dial-stdio` on the other side. Pure.
import { invalidFlag } from "../flag-error.ts";

/** The schemes, for messages. */
export const stdioForms =
  "docker-container://name, podman-container://name, kube-pod://pod?namespace=&container=&context=, ssh://user@host";

const name = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;

function checked(what: string, text: string): string {
  // It becomes an argument of the program: it must not be read as one of its options.
  if (!name.test(text)) throw invalidFlag("--addr", `"${text}" is not the name of a ${what}.`);
  return text;
}

interface Address {
  readonly scheme: string;
  readonly user: string;
  readonly host: string;
  readonly port: string;
  readonly path: string;
  readonly query: URLSearchParams;
}

/** Not URL's business: it takes names such as "b.1" for numbers. */
function addressOf(text: string): Address | undefined {
  const parts =
    /^(docker-container|podman-container|kube-pod|ssh):\/\/(?:([^@/?]*)@)?([^@/:?]*)(?::([0-9]{1,5}))?(\/[^?]*)?(?:\?(.*))?$/.exec(
      text,
    );
  if (parts === null) return undefined;
  const [, scheme = "", user = "", host = "", port = "", path = "", query = ""] = parts;
  return { scheme, user, host, port, path, query: new URLSearchParams(query) };
}

function container(program: string, { host }: Address): string[] {
  return [program, "exec", "-i", checked("container", host), "buildctl", "dial-stdio"];
}

function pod({ host, query }: Address): string[] {
  const option = (key: string): string[] => {
    const value = query.get(key);
    return value === null ? [] : [`--${key}=${checked(key, value)}`];
  };
  const unknown = [...query.keys()].find(
    (key) => !["context", "namespace", "container"].includes(key),
  );
  if (unknown !== undefined)
    throw invalidFlag(
      "--addr",
      `kube-pod:// has context, namespace and container, not ${unknown}.`,
    );
  return [
    ...["kubectl", ...option("context"), ...option("namespace"), "exec", "-i"],
    ...[...option("container"), checked("pod", host), "--", "buildctl", "dial-stdio"],
  ];
}

function ssh({ user, host, port, path }: Address): string[] {
  if (/[^A-Za-z0-9/._-]/.test(path))
    throw invalidFlag(
      "--addr",
      "the path of the socket may have letters, digits, '/', '.', '_' and '-'.",
    );
  return [
    "ssh",
    ...(user === "" ? [] : ["-l", checked("user", user)]),
    ...(port === "" ? [] : ["-p", port]),
    ...["--", checked("host", host), "buildctl"],
    ...(path.length < 2 ? [] : ["--addr", `unix://${path}`]),
    "dial-stdio",
  ];
}

/**
 * The program and its arguments that lead to a daemon; undefined when the address is none of these schemes. Throws
 * KilnError User/InvalidFlag for a name that is none.
 */
export function stdioCommand(text: string): readonly string[] | undefined {
  if (!/^(?:docker-container|podman-container|kube-pod|ssh):/.test(text)) return undefined;
  const address = addressOf(text);
  if (address === undefined) throw invalidFlag("--addr", `${text} is none of ${stdioForms}.`);
  switch (address.scheme) {
    case "ssh":
      return ssh(address);
    case "kube-pod":
      return pod(address);
    default:
      return container(address.scheme.split("-")[0] ?? "", address);
  }
}
