// How does a test get a real git server: over http with a password or token (git http-backend), over
// ssh with a key (sshd)?
import { execFile, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import { promisify } from "node:util";
import { freePort } from "../base/ports.ts";
import { scratch } from "../base/scratch.ts";
import { sshd } from "./sshd.ts";

const run = promisify(execFile);

/** Who may read. */
export interface GitServerOptions {
  /** Ask http clients for this password or token (any user name) by basic auth, or as a bearer. */
  readonly token?: string;
  /** Serve ssh too, to the holder of a key made for this server. */
  readonly ssh?: boolean;
  /** Address to listen on; default loopback. A cluster's pods need one that they reach. */
  readonly address?: string;
}

/** The ssh side of a git server. */
export interface GitSsh {
  /** ssh://user@address:port/… of a repository. */
  url(name: string): string;
  /** Text of the client's private key (OpenSSH, ed25519). */
  readonly privateKey: string;
  /** Line for known_hosts, of the form [address]:port type key. */
  readonly knownHosts: string;
}

/** A running git server. */
export interface GitServer {
  /** http://address:port/<name>.git, without any credential. */
  url(name: string): string;
  readonly ssh?: GitSsh;
  /**
   * Makes a commit with these files (path → text) on a branch (default "main") of a repository,
   * which is created first if absent. Gives the commit's id. What the files do not name stays.
   */
  commit(
    name: string,
    files: Readonly<Record<string, string>>,
    o?: { branch?: string; tag?: string },
  ): Promise<string>;
  /** Authorization headers of the requests so far ("" when there was none), oldest first. */
  readonly authorizations: readonly string[];
  stop(): Promise<void>;
}

const author = {
  GIT_AUTHOR_NAME: "Test",
  GIT_AUTHOR_EMAIL: "test@example.com",
  GIT_COMMITTER_NAME: "Test",
  GIT_COMMITTER_EMAIL: "test@example.com",
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_CONFIG_SYSTEM: "/dev/null",
};

async function git(folder: string, args: readonly string[]): Promise<string> {
  const { stdout } = await run("git", ["-C", folder, ...args], {
    env: { ...process.env, ...author },
  });
  return stdout.trim();
}

function commitInto(repositories: string, work: string): GitServer["commit"] {
  return async (name, files, { branch = "main", tag } = {}) => {
    const bare = path.join(repositories, `${name}.git`);
    const tree = path.join(work, name);
    mkdirSync(bare, { recursive: true });
    await git(bare, ["init", "-q", "--bare", "-b", "main"]);
    await git(bare, ["config", "uploadpack.allowAnySHA1InWant", "true"]);
    mkdirSync(tree, { recursive: true });
    await git(tree, ["init", "-q", "-b", "main"]);
    await git(tree, ["checkout", "-q", branch]).catch(() =>
      git(tree, ["checkout", "-q", "-B", branch]),
    );
    for (const [file, text] of Object.entries(files)) {
      mkdirSync(path.dirname(path.join(tree, file)), { recursive: true });
      writeFileSync(path.join(tree, file), text);
    }
    await git(tree, ["add", "-A"]);
    await git(tree, ["commit", "-q", "--allow-empty", "-m", "change"]);
    if (tag !== undefined) await git(tree, ["tag", "-f", "-a", tag, "-m", tag]);
    await git(tree, [
      "push",
      "-q",
      "--force",
      bare,
      branch,
      ...(tag === undefined ? [] : [`refs/tags/${tag}`]),
    ]);
    return git(tree, ["rev-parse", "HEAD"]);
  };
}

function mayRead(header: string, token: string): boolean {
  const [scheme = "", value = ""] = header.split(" ");
  if (scheme.toLowerCase() === "bearer") return value === token;
  if (scheme.toLowerCase() !== "basic") return false;
  const decoded = Buffer.from(value, "base64").toString();
  return decoded.slice(decoded.indexOf(":") + 1) === token;
}

/** Hands a request to `git http-backend` by CGI: variables in, header lines and body out. */
function cgi(
  repositories: string,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): void {
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://server");
  const child = spawn("git", ["http-backend"], {
    stdio: ["pipe", "pipe", "inherit"],
    env: {
      ...process.env,
      ...author,
      GIT_PROJECT_ROOT: repositories,
      GIT_HTTP_EXPORT_ALL: "1",
      PATH_INFO: pathname,
      QUERY_STRING: searchParams.toString(),
      REQUEST_METHOD: request.method ?? "GET",
      CONTENT_TYPE: request.headers["content-type"] ?? "",
      HTTP_CONTENT_ENCODING: request.headers["content-encoding"] ?? "",
      GIT_PROTOCOL: String(request.headers["git-protocol"] ?? ""),
    },
  });
  child.stdin.on("error", () => undefined);
  request.pipe(child.stdin);
  let head = Buffer.alloc(0);
  const readHead = (chunk: Buffer): void => {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf("\r\n\r\n");
    if (end < 0) return;
    child.stdout.off("data", readHead);
    for (const line of head.subarray(0, end).toString().split("\r\n")) {
      const [name = "", value = ""] = line.split(/:\s*/, 2);
      if (name.toLowerCase() === "status") response.statusCode = Number.parseInt(value, 10);
      else response.setHeader(name, value);
    }
    response.write(head.subarray(end + 4));
    child.stdout.pipe(response);
  };
  child.stdout.on("data", readHead);
  child.once("close", () => response.end());
}

function httpServer(repositories: string, token: string | undefined, seen: string[]): http.Server {
  return http.createServer((request, response) => {
    const header = request.headers.authorization ?? "";
    seen.push(header);
    if (token !== undefined && !mayRead(header, token)) {
      response.writeHead(401, { "www-authenticate": 'Basic realm="git"' }).end("denied\n");
      return;
    }
    cgi(repositories, request, response);
  });
}

/** The only thing this key may do is read a repository of this server. */
async function sshServer(
  folder: string,
  repositories: string,
  address: string,
): Promise<{ ssh: GitSsh; stop(): Promise<void> }> {
  const serve = [
    "#!/bin/sh",
    `case "$SSH_ORIGINAL_COMMAND" in`,
    `"git-upload-pack '/"*"'") cd '${repositories}' || exit 1 ;;`,
    `*) echo 'only git-upload-pack is served' >&2; exit 1 ;;`,
    "esac",
    `repository=\${SSH_ORIGINAL_COMMAND#"git-upload-pack '/"}`,
    `exec git -c safe.directory='*' upload-pack "\${repository%\\'}"`,
  ].join("\n");
  const daemon = await sshd({ folder, address, serve });
  const { user, port, privateKey, knownHosts } = daemon;
  return {
    ssh: { url: (name) => `ssh://${user}@${address}:${port}/${name}.git`, privateKey, knownHosts },
    stop: () => daemon.stop(),
  };
}

/** A git server for a test, with its repositories in a temporary folder. */
export async function gitServer(options: GitServerOptions = {}): Promise<GitServer> {
  const address = options.address ?? "127.0.0.1";
  const place = scratch("git");
  const repositories = path.join(place.folder, "repositories");
  mkdirSync(repositories);
  const authorizations: string[] = [];
  const server = httpServer(repositories, options.token, authorizations);
  const port = await freePort(address);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, address, resolve);
  });
  const ssh =
    options.ssh === true ? await sshServer(place.folder, repositories, address) : undefined;
  const stop = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
    await ssh?.stop();
    place.remove();
  };
  return {
    url: (name) => `http://${address}:${port}/${name}.git`,
    ...(ssh === undefined ? {} : { ssh: ssh.ssh }),
    commit: commitInto(repositories, path.join(place.folder, "work")),
    authorizations,
    stop,
  };
}
