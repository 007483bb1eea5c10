// What a target says of its steps, secrets and attestations, in the words of a BuildRun. Pure.

import { bytesOfSize } from "../../api/quantity.ts";
import type { BakeSpec, BuildRunSpecInput } from "../../api/v1alpha1/index.ts";
import { goBoolean } from "../../buildrun/plan/csv.ts";
import type { BakeTarget } from "../file/document.ts";
import { fieldsOf, type Table, text, yesNo } from "./attributes.ts";
import { entryOf, present, type Refuse } from "./values.ts";

/** What these fields are made of. */
export interface StepSources {
  readonly bake: Pick<BakeSpec, "secrets" | "ssh">;
  readonly refuse: Refuse;
}

/** Fields of RUN steps. */
export function stepsOf(target: BakeTarget, { refuse }: StepSources): Partial<BuildRunSpecInput> {
  const { network, shmSize } = target;
  if (network !== undefined && !["", "default", "none", "host"].includes(network))
    throw refuse("network", `is "${network}": use default, none or host.`);
  const shm = shmSize === undefined || shmSize === "" ? undefined : bytesOfSize(shmSize.trim());
  if (shm === undefined && shmSize !== undefined && shmSize !== "")
    throw refuse("shm-size", `is "${shmSize}", which is no size such as 128m.`);
  const resources = resourcesOf(target, refuse);
  return present({
    network: (network || undefined) as BuildRunSpecInput["network"],
    shmSize: shm,
    ulimits: target.ulimits.length === 0 ? undefined : ulimitsOf(target, refuse),
    hostAliases: Object.keys(target.extraHosts).length === 0 ? undefined : hostsOf(target, refuse),
    entitlements: target.entitlements.length === 0 ? undefined : [...new Set(target.entitlements)],
    stepResources: Object.keys(resources).length === 0 ? undefined : resources,
  }) as Partial<BuildRunSpecInput>;
}

function ulimitsOf({ ulimits }: BakeTarget, refuse: Refuse) {
  const all = ulimits.map((line, index) => {
    const match = /^([a-z]+)=(-?[0-9]+)(?::(-?[0-9]+))?$/.exec(line);
    if (match === null)
      throw refuse(`ulimits[${index}]`, `is "${line}", not name=soft or name=soft:hard.`);
    const [, name = "", soft, hard] = match;
    return { name, soft: Number(soft), ...(hard === undefined ? {} : { hard: Number(hard) }) };
  });
  return [...new Map(all.map((one) => [one.name, one])).values()] as never;
}

function hostsOf({ extraHosts }: BakeTarget, refuse: Refuse) {
  const names = new Map<string, string[]>();
  for (const [host, address] of Object.entries(extraHosts).toSorted(([a], [b]) =>
    a < b ? -1 : 1,
  )) {
    if (address === "host-gateway")
      throw refuse(`extra-hosts.${host}`, "is host-gateway, which only Docker engines have.");
    for (const ip of address.split(",").map((one) => one.replace(/^\[(.*)\]$/, "$1")))
      names.set(ip, [...(names.get(ip) ?? []), host]);
  }
  return [...names].map(([ip, hostnames]) => ({ ip, hostnames }));
}

const counts: Readonly<Record<string, string>> = {
  "cpu-shares": "cpuShares",
  "cpu-period": "cpuPeriodMicroseconds",
  "cpu-quota": "cpuQuotaMicroseconds",
};
const sets: Readonly<Record<string, string>> = {
  "cpuset-cpus": "cpusetCpus",
  "cpuset-mems": "cpusetMems",
};

function resourcesOf({ resources }: BakeTarget, refuse: Refuse): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(resources)) {
    const count = entryOf(counts, key);
    const set = entryOf(sets, key);
    if (count !== undefined) found[count] = Number(value);
    else if (set !== undefined) found[set] = value;
    else if (key === "memory-swap" && value === "-1") found["unlimitedSwap"] = true;
    else if (key === "memory" || key === "memory-swap") {
      const bytes = bytesOfSize(value.trim());
      if (bytes === undefined) throw refuse(`resources.${key}`, `is "${value}", which is no size.`);
      found[key === "memory" ? "memory" : "memorySwap"] = bytes;
    } else throw refuse(`resources.${key}`, "is no limit that a BuildRun has.");
  }
  return found;
}

/** Secrets of steps: the file says an id, the Bake which Secret stands for it. */
export function secretsOf({ secret }: BakeTarget, { bake, refuse }: StepSources) {
  return secret.map(({ id, src, env }, index) => {
    const wanted = id ?? env ?? src ?? "";
    const found = bake.secrets.find((one) => one.id === wanted);
    if (found !== undefined) return found;
    const what = env === undefined ? "a file" : "a variable";
    throw refuse(
      `secret[${index}]`,
      `is ${what} of a workstation: name in spec.secrets of the Bake the Secret that stands for the id "${wanted}".`,
    );
  });
}

/** SSH keys of steps. */
export function sshOf({ ssh }: BakeTarget, { bake, refuse }: StepSources) {
  return ssh.map(({ id }, index) => {
    const found = bake.ssh.find((one) => one.id === id);
    if (found !== undefined) return found;
    throw refuse(
      `ssh[${index}]`,
      `is an agent or a file of a workstation: name in spec.ssh of the Bake the Secret that stands for the id "${id}".`,
    );
  });
}

const provenance: Table = {
  mode: ["mode", text],
  version: ["version", text],
  reproducible: ["reproducible", yesNo],
  "inline-only": ["inlineOnly", yesNo],
  filename: ["filename", text],
};
const sbom: Table = { generator: ["generator", text] };

/** What is attested; nothing by default, as in a BuildRun. */
export function attestationsOf(
  { attest }: BakeTarget,
  { refuse }: StepSources,
): BuildRunSpecInput["attestations"] {
  const found: Record<string, unknown> = {};
  for (const [index, entry] of attest.entries()) {
    const field = `attest[${index}]`;
    const { type = "", disabled = "false" } = entry;
    if (type !== "provenance" && type !== "sbom")
      throw refuse(`${field}.type`, `is "${type}": use provenance or sbom.`);
    if (goBoolean(disabled) === true) {
      delete found[type];
      continue;
    }
    if (entry["builder-id"] !== undefined)
      throw refuse(`${field}.builder-id`, "is set by Kiln: a build can not choose it.");
    const table = type === "provenance" ? provenance : sbom;
    const own = fieldsOf(entry, table, { field, refuse }, ["disabled"]);
    // Asked for without a mode, BuildKit writes all that it knows.
    found[type] = type === "provenance" ? { mode: "max", ...own } : own;
  }
  return found as BuildRunSpecInput["attestations"];
}
