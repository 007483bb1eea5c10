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
const maxTargets = 64;
const maxDepth = 64;

/** Targets that stand for named contexts. */
export function linksOf({ contexts }: Pick<BakeTarget, "contexts">): string[] {
  const links = Object.values(contexts).filter((value) => value.startsWith(prefix));
  return [...new Set(links.map((value) => value.slice(prefix.length)))];
}

/**
 * The targets, each behind those that it needs; at most 64. Throws `KilnError` `TargetNotFound`, `TargetCircle`, or
 * `BakeFileInvalid` as soon as they are more, or groups hold one another more than 64 deep.
 */
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
    if (done.size + path.length >= maxTargets) throw tooMany();
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
  const members = membersOf(file);
  return names.flatMap((name) => [...members(name)]);
}

/** Reads groups, each once: who writes a file can make a few groups that hold one another in very many ways. */
function membersOf({ groups }: BakeFile): (name: string) => readonly string[] {
  const known = new Map<string, readonly string[]>();
  return (name) => members(name, 0);

  function members(name: string, depth: number): readonly string[] {
    const group = groups.get(name);
    if (group === undefined) return [name];
    const before = known.get(name);
    if (before !== undefined) return before;
    if (depth === maxDepth)
      throw refused("BakeFileInvalid", `Groups hold one another more than ${maxDepth} deep.`);
    // A group may have the name of a target that is in it.
    known.set(name, [name]);
    const all = [...new Set(group.flatMap((member) => members(member, depth + 1)))];
    if (all.length > maxTargets) throw tooMany();
    known.set(name, all);
    return all;
  }
}

function tooMany(): Error {
  return refused(
    "BakeFileInvalid",
    `The targets are too many for one Bake: build at most ${maxTargets} by spec.targets.`,
  );
}
