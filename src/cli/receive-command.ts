// `kiln receive`: the process in the pod that writes outputs onto PersistentVolumeClaims.

import { readFile } from "node:fs/promises";
import path from "node:path";
import { Command } from "commander";
import type { ReceivedOutput } from "../agent/outputs/claim/receiver.ts";
import { hostAndPort } from "../agent/wire/address.ts";

interface Flags {
  readonly address: string;
  readonly tls: string;
  readonly ref: string;
  readonly outputs: string;
}

/** The subcommand. */
export function receiveCommand(): Command {
  return new Command("receive")
    .description("Write outputs of one attempt onto mounted volumes, until SIGTERM.")
    .option("--address <host:port>", "where the agent calls", "0.0.0.0:8443")
    .option("--tls <folder>", "holds ca.crt, tls.crt and tls.key", "/etc/kiln/tls")
    .requiredOption("--ref <ref>", "the attempt")
    .requiredOption("--outputs <json>", "index of an output → {root, path, single}")
    .action(async ({ address, tls, ref, outputs }: Flags) => {
      const { receive } = await import("../agent/outputs/claim/receiver.ts");
      const read = async (name: string) => await readFile(path.join(tls, name), "utf8");
      const receiver = await receive({
        tls: {
          ca: await read("ca.crt"),
          cert: await read("tls.crt"),
          key: await read("tls.key"),
        },
        ...hostAndPort(address),
        ref,
        outputs: JSON.parse(outputs) as Record<string, ReceivedOutput>,
      });
      process.once("SIGTERM", () => void receiver.close().finally(() => process.exit()));
    });
}
