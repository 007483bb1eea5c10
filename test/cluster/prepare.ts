// Everything that tests would build or install when they first need it, at once: no test's deadline includes it then.
import { binaries, binaryNames } from "./base/binaries.ts";
import { debianPackages, packagesFor } from "./base/debian.ts";
import { npmPackage } from "./base/npm.ts";
import { ensureClusterImages } from "./images/images.ts";

/** Fills the cache with every program and image; starts nothing that stays. Takes a second when all is there. */
export async function prepare(): Promise<void> {
  await debianPackages(Object.values(packagesFor).flat());
  await binaries(binaryNames);
  await npmPackage("azurite");
  await ensureClusterImages();
}
