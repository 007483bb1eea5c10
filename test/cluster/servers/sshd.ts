// How does a test get a real sshd that lets one key run one program?
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { debianPackages, packagesFor } from "../base/debian.ts";
import { freePort } from "../base/ports.ts";
import { start, waitFor } from "../base/process.ts";

const run = promisify(execFile);
const readyMs = 10_000;

/** What a test may choose about its sshd. */
export interface SshdOptions {
  /** An existing folder for its files. */
  readonly folder: string;
  /** Text of the shell script that is run whatever is asked for; $SSH_ORIGINAL_COMMAND has what that is. */
  readonly serve: string;
  /** Default: loopback. */
  readonly address?: string;
  /** Of the client's key. Default: none. */
  readonly passphrase?: string;
}

/** A running sshd. */
export interface Sshd {
  readonly user: string;
  readonly port: number;
  /** Of the client. */
  readonly privateKey: string;
  readonly keyFile: string;
  /** A line of known_hosts. */
  readonly knownHosts: string;
  stop(): Promise<void>;
}

async function makeKey(file: string, passphrase = ""): Promise<string> {
  await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", passphrase, "-C", "kiln-test", "-f", file]);
  return readFileSync(`${file}.pub`, "utf8").trim();
}

function accepts(port: number, host: string): Promise<true | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    socket.once("data", () => resolve(true)).once("data", () => socket.destroy());
    socket.once("error", () => resolve(undefined));
  });
}

/** Starts it as this user, who is the only one that can log in. */
export async function sshd(options: SshdOptions): Promise<Sshd> {
  const { folder, address = "127.0.0.1" } = options;
  await debianPackages(packagesFor.sshd);
  const hostKey = await makeKey(path.join(folder, "host_key"));
  const keyFile = path.join(folder, "client_key");
  const publicKey = await makeKey(keyFile, options.passphrase);
  const authorized = path.join(folder, "authorized_keys");
  const serve = path.join(folder, "serve");
  writeFileSync(serve, options.serve, { mode: 0o755 });
  writeFileSync(authorized, `restrict,command="${serve}" ${publicKey}\n`, { mode: 0o600 });
  const port = await freePort(address);
  const config = path.join(folder, "sshd_config");
  const lines = [
    `ListenAddress ${address}:${port}`,
    `HostKey ${path.join(folder, "host_key")}`,
    `PidFile none`,
    `AuthorizedKeysFile ${authorized}`,
    "AuthenticationMethods publickey",
    "PermitRootLogin yes",
    "AcceptEnv GIT_PROTOCOL",
    "UsePAM no",
    // The temporary folder is writable by all.
    "StrictModes no",
  ];
  writeFileSync(config, `${lines.join("\n")}\n`);
  mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  const daemon = await start({
    name: "sshd",
    folder,
    command: ["/usr/sbin/sshd", "-D", "-e", "-f", config],
  });
  await waitFor("sshd", () => accepts(port, address), { deadlineMs: readyMs, processes: [daemon] });
  const [type = "", key = ""] = hostKey.split(" ");
  return {
    user: os.userInfo().username,
    port,
    privateKey: readFileSync(keyFile, "utf8"),
    keyFile,
    knownHosts: `[${address}]:${port} ${type} ${key}`,
    stop: () => daemon.stop(),
  };
}
