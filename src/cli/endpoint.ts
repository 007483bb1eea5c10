// Which buildkitd does a command talk to? Flags and $BUILDKIT_HOST as buildctl has them.
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { parseEndpoint, type Endpoint, type TlsMaterial } from "../buildkit/index.ts";
import { programEndpoint } from "./address/program.ts";
import { stdioCommand } from "./address/stdio.ts";
import { invalidFlag } from "./flag-error.ts";

/** Values of the flags that `addEndpointFlags` adds. */
export interface EndpointFlags {
  readonly addr: string;
  readonly tlscacert?: string;
  readonly tlscert?: string;
  readonly tlskey?: string;
  readonly tlsservername?: string;
  readonly tlsdir?: string;
}

function file(flag: string, name: string | undefined): Buffer | undefined {
  if (name === undefined) return undefined;
  try {
    return readFileSync(name);
  } catch (cause) {
    throw invalidFlag(flag, `${name} cannot be read.`, cause);
  }
}

/** Names as buildctl and cert-manager write them. */
function fromDirectory(folder: string): { ca: Buffer; cert: Buffer; key: Buffer } {
  const read = (...names: string[]): Buffer => {
    const found = names.map((name) => path.join(folder, name)).find((name) => existsSync(name));
    const bytes = file("--tlsdir", found);
    if (bytes === undefined)
      throw invalidFlag("--tlsdir", `${folder} has neither ${names.join(" nor ")}.`);
    return bytes;
  };
  return {
    ca: read("ca.pem", "ca.crt"),
    cert: read("cert.pem", "tls.crt"),
    key: read("key.pem", "tls.key"),
  };
}

function material(flags: EndpointFlags): TlsMaterial | undefined {
  const { tlscacert, tlscert, tlskey, tlsdir, tlsservername } = flags;
  const name = tlsservername === undefined ? {} : { serverName: tlsservername };
  const single = [tlscacert, tlscert, tlskey].some((value) => value !== undefined);
  if (tlsdir !== undefined) {
    if (single)
      throw invalidFlag("--tlsdir", "give either it or --tlscacert, --tlscert and --tlskey.");
    return { ...fromDirectory(tlsdir), ...name };
  }
  if (!single) return undefined;
  const cert = file("--tlscert", tlscert);
  const key = file("--tlskey", tlskey);
  if ((cert === undefined) !== (key === undefined))
    throw invalidFlag("--tlscert", "a certificate needs its key: --tlskey.");
  return {
    // Not imported: it would read them for sockets too.
    ca:
      file("--tlscacert", tlscacert) ??
      process.getBuiltinModule("node:tls").rootCertificates.join("\n"),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
    ...name,
  };
}

const engineScheme = "docker+";

/** Throws KilnError User/InvalidFlag or User/InvalidEndpoint. */
export function endpointOf(flags: EndpointFlags): Endpoint {
  const { addr } = flags;
  const tls = material(flags);
  const command = stdioCommand(addr);
  if (command !== undefined) {
    if (tls !== undefined)
      throw invalidFlag("--addr", `${addr} goes through another program, which takes no TLS.`);
    return programEndpoint(addr, command);
  }
  if (!addr.startsWith(engineScheme)) return parseEndpoint(addr, tls);
  return { kind: "docker", engine: parseEndpoint(addr.slice(engineScheme.length), tls) };
}
