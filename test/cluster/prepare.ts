// Everything that tests would build or install when they first need it, at once: no test's deadline includes it then.
import { binaries, binaryNames } from "./base/binaries.ts";
import { debianPackages } from "./base/debian.ts";
import { npmPackage } from "./base/npm.ts";
import { ensureClusterImages } from "./images/images.ts";

/** What the cluster and the servers of the tests call; each still asks for its own. */
const packages = [
  ...["iptables", "iproute2", "openssl", "tini", "apache2-utils", "openssh-server"],
  ...["openssh-client", "qemu-user-static", "busybox-static", "debootstrap"],
];

/** Fills the cache with every program and image; starts nothing that stays. Takes a second when all is there. */
export async function prepare(): Promise<void> {
  await debianPackages(packages);
  await binaries(binaryNames);
  await npmPackage("azurite");
  await ensureClusterImages();
}
