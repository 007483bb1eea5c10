// Which targets of a file are built: those that are named, alone or by groups, and those that they build from. Pure.
// Rules: ResolveGroup and loadLinks of bake/bake.go, buildx v0.38.2.

import type { BakeFile, BakeTarget } from "./document.ts";
import { isPattern, matcher } from "./glob.ts";
import { notSupported, refused } from "./refusal.ts";

/** A target that is built. */
export interface ChosenTarget {
  readonly name: string;
  readonly target: BakeTarget;
  /** Targets that it builds from. */
  readonly needs: readonly string[];
}

const prefix = "target:";

/** Targets that stand for named contexts. */
export function linksOf({ contexts }: Pick<BakeTarget, "contexts">): string[] {
  const links = Object.values(contexts).filter((value) => value.startsWith(prefix));
  return [...new Set(links.map((value) => value.slice(prefix.length)))];
}

/** The targets, each behind those that it needs. Throws `KilnError` `TargetNotFound` or `TargetCircle`. */
export function chosen(file: BakeFile, wanted: readonly string[]): ChosenTarget[] {
  const asked = new Set(namesOf(file, wanted));
  const done = new Map<string, ChosenTarget>();
  for (const name of [...asked].toSorted()) visit(name, []);
  return [...done.values()];

  function visit(name: string, path: readonly string[]): void {
    if (path.includes(name))
      throw refused(
        "TargetCircle",
        `Targets build from one another: ${[...path, name].join(", ")}.`,
      );
    if (done.has(name)) return;
    const found = targetOf(file, name, path.at(-1));
    // What nobody asked for is only built from: its own outputs and tags are not made.
    const target = asked.has(name) ? found : { ...found, output: [{ type: "cacheonly" }] };
    const needs = linksOf(target);
    for (const need of needs) visit(need, [...path, name]);
    for (const need of needs) checkPlatforms({ name, target, needs }, need);
    done.set(name, { name, target, needs });
  }

  function checkPlatforms({ name, target }: ChosenTarget, need: string): void {
    const offered = done.get(need)?.target.platforms ?? [];
    const missing = target.platforms.filter((platform) => !offered.includes(platform));
    if (target.platforms.length > 1 && offered.length > 1 && missing.length > 0)
      throw notSupported(
        name,
        "platforms",
        `has ${missing.join(", ")}, for which the target "${need}" that it builds from is not built.`,
      );
  }
}

function targetOf({ targets }: BakeFile, name: string, by: string | undefined): BakeTarget {
  const found = targets.get(name);
  if (found !== undefined) return found;
  const who = by === undefined ? "" : `, which target "${by}" builds from`;
  throw refused(
    "TargetNotFound",
    `There is no target or group "${name}"${who}; there are ${[...targets.keys()].join(", ").slice(0, 400)}.`,
  );
}

function namesOf(file: BakeFile, wanted: readonly string[]): string[] {
  const all = [...file.groups.keys(), ...file.targets.keys()];
  const names = (wanted.length === 0 ? ["default"] : wanted).flatMap((name) => {
    if (!isPattern(name)) return [name];
    const found = all.filter(matcher(name));
    if (found.length > 0) return found;
    throw refused(
      "TargetNotFound",
      `No target or group fits "${name}": there are ${all.join(", ").slice(0, 400)}.`,
    );
  });
  return names.flatMap((name) => members(file, name, []));
}

function members(file: BakeFile, name: string, above: readonly string[]): string[] {
  const group = file.groups.get(name);
  // A group may have the name of a target that is in it.
  if (group === undefined || above.includes(name)) return [name];
  return group.flatMap((member) => members(file, member, [...above, name]));
}
