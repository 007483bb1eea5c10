// --opt, --local, --oci-layout and --allow, as buildctl reads them.
import { statSync } from "node:fs";
import path from "node:path";
import { csvFields, pair } from "../csv.ts";
import { invalidFlag } from "../flag-error.ts";

type Environment = Readonly<Record<string, string | undefined>>;

const buildArg = "build-arg:";

/**
 * Attributes of the frontend. A build argument without a value takes it from the environment, and is left out when
 * there is none; SOURCE_DATE_EPOCH comes along by itself. Throws KilnError User/InvalidFlag.
 */
export function parseOptions(
  values: readonly string[],
  environment: Environment,
): Record<string, string> {
  const epoch = environment["SOURCE_DATE_EPOCH"];
  const attrs: Record<string, string> =
    epoch === undefined ? {} : { [`${buildArg}SOURCE_DATE_EPOCH`]: epoch };
  for (const value of values) {
    const name = value.startsWith(buildArg) ? value.slice(buildArg.length) : "";
    if (name !== "" && !name.includes("=")) {
      const known = environment[name];
      if (known !== undefined) attrs[value] = known;
      continue;
    }
    const [key, text] = pair("--opt", value);
    attrs[key] = text;
  }
  return attrs;
}

/** Folders by name, absolute. Throws KilnError User/InvalidFlag for one that is not there. */
export function parseFolders(
  flag: "--local" | "--oci-layout",
  values: readonly string[],
): ReadonlyMap<string, string> {
  return new Map(
    values.map((value) => {
      const [name, folder] = pair(flag, value);
      const found = statSync(folder, { throwIfNoEntry: false });
      if (found === undefined) throw invalidFlag(flag, `${folder} is not there.`);
      if (!found.isDirectory()) throw invalidFlag(flag, `${folder} is not a folder.`);
      return [name, path.resolve(folder)] as const;
    }),
  );
}

const entitlements = ["network.host", "security.insecure", "device"];

/** Checks what a build may be allowed. Throws KilnError User/InvalidFlag. */
export function parseAllow(values: readonly string[]): readonly string[] {
  for (const value of values) {
    const [name = "", ...config] = value.split("=");
    if (!entitlements.includes(name) || (config.length > 0 && name !== "device"))
      throw invalidFlag("--allow", `${value} is none of ${entitlements.join(", ")}.`);
    for (const field of config.length === 0
      ? []
      : csvFields("--allow", config.join("=")).slice(1)) {
      if (!field.startsWith("alias="))
        throw invalidFlag("--allow", `${field} is no setting of a device; alias=… is.`);
    }
  }
  return values;
}
