// How does this machine run arm64 programs? By QEMU, registered with the kernel's binfmt_misc once
// (flag F: the kernel keeps the emulator open, so it works in every container; flag P: a program sees the
// name it was called by, which busybox needs).
import { execFile } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { promisify } from "node:util";
import { debianPackages } from "../base/debian.ts";

const run = promisify(execFile);
const folder = "/proc/sys/fs/binfmt_misc";
const emulator = "/usr/bin/qemu-aarch64-static";

// The first 20 bytes of a 64-bit little-endian ELF program or library for AArch64 (machine 0xb7).
const magic = String.raw`\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00`;
const mask = String.raw`\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff`;

function isRegistered(entry: string): boolean {
  if (!existsSync(entry)) return false;
  const flags = /^flags: (\w*)/m.exec(readFileSync(entry, "utf8"))?.[1] ?? "";
  return flags.includes("P") && flags.includes("F");
}

/** Makes the kernel run arm64 programs. The registration stays until the machine restarts. */
export async function emulateArm64(): Promise<void> {
  if (process.arch === "arm64") return;
  if (!existsSync(`${folder}/register`)) {
    await run("mount", ["-t", "binfmt_misc", "binfmt_misc", folder]);
  }
  const entry = `${folder}/qemu-aarch64`;
  if (isRegistered(entry)) return;
  await debianPackages(["qemu-user-static"]);
  if (existsSync(entry)) writeFileSync(entry, "-1");
  writeFileSync(`${folder}/register`, `:qemu-aarch64:M::${magic}:${mask}:${emulator}:PF`);
}
