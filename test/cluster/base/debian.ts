// Which Debian packages are absent, and how are they installed? Only on a machine with apt-get, as
// root; elsewhere the error names what to install.
import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { withLock } from "./lock.ts";
import { step } from "./progress.ts";

const run = promisify(execFile);

/** What is called when something starts. What making images takes is asked for only when they are made. */
export const packagesFor = {
  cluster: ["iptables", "iproute2", "openssl"],
  dockerd: ["tini", "iproute2"],
  registry: ["apache2-utils"],
  sshd: ["openssh-server", "openssh-client"],
} as const;

async function absent(packages: readonly string[]): Promise<string[]> {
  const missing: string[] = [];
  for (const name of packages) {
    const query = await run("dpkg-query", ["-W", "-f=${db:Status-Status}", name]).catch(() => null);
    if (query?.stdout !== "installed") missing.push(name);
  }
  return missing;
}

async function install(packages: readonly string[]): Promise<void> {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const wait = ["-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"];
  const options = { env, maxBuffer: 64 << 20 };
  await run("apt-get", [...wait, "update", "-qq"], options);
  await run(
    "apt-get",
    [...wait, "install", "-y", "-qq", "--no-install-recommends", ...packages],
    options,
  );
}

/**
 * Makes sure that Debian packages are installed.
 * @throws with the names of the missing ones when they cannot be installed here
 */
export async function debianPackages(packages: readonly string[]): Promise<void> {
  if ((await absent(packages)).length === 0) return;
  await withLock(path.join("/tmp", "kiln-apt.lock"), async () => {
    const missing = await absent(packages);
    if (missing.length === 0) return;
    try {
      await step(`installing Debian packages: ${missing.join(" ")}`, () => install(missing));
    } catch (error) {
      throw new Error(
        `install these packages (apt-get needs root and a Debian system): ${missing.join(" ")}`,
        { cause: error },
      );
    }
  });
}
