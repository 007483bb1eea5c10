// What holds for every RUN step of a build: network, hosts, limits. Each field is a flag of `docker buildx build`.

import { z } from "zod";
import { cel, listMap, listSet, quantity, rules, text } from "../../schema.ts";

const ipv4 = "((25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])";

/** `spec.network`: the network of RUN steps. */
export const Network = z.enum(["default", "none", "host"]);

const HostAlias = z.object({
  ip: text(
    { max: 45 },
    {
      matches: new RegExp(`^(${ipv4}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)$`),
      message: "must be an IPv4 or IPv6 address, without brackets",
    },
  ).describe("Address that the names stand for."),
  hostnames: listSet(
    text(
      { max: 253 },
      {
        matches: /^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$/,
        message: "must be a host name: letters, digits, '.', '-' and '_'",
      },
    ).describe("One host name."),
    32,
  )
    .min(1)
    .describe("Names of the host."),
});

/** `spec.hostAliases`: lines of /etc/hosts. */
export const HostAliases = listMap(HostAlias, ["ip"], 64);

const Ulimit = z
  .object({
    name: z
      .enum([
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
      ])
      .describe("Which limit, as in ulimit(1) of Docker."),
    soft: z.int().min(-1).max(9_007_199_254_740_991).describe("Soft limit; -1: unlimited."),
    hard: z
      .int()
      .min(-1)
      .max(9_007_199_254_740_991)
      .optional()
      .describe("Hard limit; -1: unlimited. Default: the soft limit."),
  })
  .meta(
    rules(
      cel(
        "!has(self.hard) || self.hard == -1 || (self.soft != -1 && self.soft <= self.hard)",
        "hard must not be lower than soft: raise hard or lower soft",
        ".hard",
      ),
    ),
  );

/** `spec.ulimits`. */
export const Ulimits = listMap(Ulimit, ["name"], 16);

const CpuSet = text(
  { max: 128 },
  {
    matches: /^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$/,
    message: "must be a list of numbers and ranges, such as 0-3,6",
  },
);

/** `spec.stepResources`: limits of each RUN step; those of the builder's pod stand in its Builder. */
export const StepResources = z
  .object({
    memory: quantity().optional().describe("Memory a step may use, such as 2Gi."),
    memorySwap: quantity().optional().describe("Memory and swap together; needs memory."),
    unlimitedSwap: z.boolean().optional().describe("Swap without limit; instead of memorySwap."),
    cpuShares: z.int().min(2).max(262_144).optional().describe("Relative weight of the step."),
    cpuPeriodMicroseconds: z
      .int()
      .min(1000)
      .max(1_000_000)
      .optional()
      .describe("Length of a scheduling period."),
    cpuQuotaMicroseconds: z
      .int()
      .min(1000)
      .max(1_000_000_000)
      .optional()
      .describe("Processor time in each period."),
    cpusetCpus: CpuSet.optional().describe("Processors a step may run on, such as 0-3,6."),
    cpusetMems: CpuSet.optional().describe("NUMA nodes a step may take memory from."),
  })
  .meta(
    rules(
      cel(
        "!has(self.memorySwap) || has(self.memory)",
        "memorySwap counts memory and swap together: set memory as well",
        ".memorySwap",
      ),
      cel(
        "!has(self.memorySwap) || !has(self.unlimitedSwap) || !self.unlimitedSwap",
        "memorySwap and unlimitedSwap exclude each other: remove one",
        ".memorySwap",
      ),
    ),
  );

/** `spec.entitlements`: rights beyond those of an ordinary step. */
export const Entitlements = listSet(
  text(
    { max: 512 },
    {
      matches: /^(network\.host|security\.insecure|device(=[A-Za-z0-9./_=,-]+)?)$/,
      message:
        "must be network.host, security.insecure, device or device=<name>, as docker buildx build --allow takes them",
    },
  ).describe("One right."),
  16,
);
