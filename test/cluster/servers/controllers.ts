// Which programs make a control plane act: kube-controller-manager and kube-scheduler.
import { mkdirSync } from "node:fs";
import path from "node:path";
import { binaries } from "../base/binaries.ts";
import { type RunningProcess, start } from "../base/process.ts";
import { writeKubeconfig } from "../node/kubelet.ts";
import type { ControlPlane, Pki } from "./controlPlane.ts";

/** Starts both; they live on when this tool ends. */
export async function startControllers(
  controlPlane: ControlPlane,
  pki: Pki,
): Promise<RunningProcess[]> {
  const { folder, server } = controlPlane;
  const programs = await binaries(["kube-controller-manager", "kube-scheduler"]);
  const own = path.join(folder, "controllers");
  mkdirSync(own, { recursive: true });
  const kubeconfigOf = (name: string): Promise<string> =>
    writeKubeconfig({ folder, pki, server }, { name, user: `system:${name}` });
  const manager = await start({
    name: "kube-controller-manager",
    folder,
    survives: true,
    command: [
      programs["kube-controller-manager"],
      `--kubeconfig=${await kubeconfigOf("kube-controller-manager")}`,
      `--root-ca-file=${pki.ca.cert}`,
      `--service-account-private-key-file=${path.join(pki.folder, "service-account.key")}`,
      `--cluster-signing-cert-file=${pki.ca.cert}`,
      `--cluster-signing-key-file=${pki.ca.key}`,
      "--use-service-account-credentials=true",
      "--leader-elect=false",
      "--secure-port=0",
    ],
  });
  const scheduler = await start({
    name: "kube-scheduler",
    folder,
    survives: true,
    command: [
      programs["kube-scheduler"],
      `--kubeconfig=${await kubeconfigOf("kube-scheduler")}`,
      "--leader-elect=false",
      "--secure-port=0",
    ],
  });
  return [manager, scheduler];
}
