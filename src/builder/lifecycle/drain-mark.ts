// How is it written on a pod that its instance takes no new run? Pure.

import type { Pod } from "../../kube/types.ts";
import { drainingAnnotation } from "../names.ts";
import type { LeaveReason } from "./plan.ts";

const reasons: readonly LeaveReason[] = ["Roll", "ScaleDown", "Used"];

/** The drain that is written on the pod. What somebody else wrote there counts as none. */
export function drainOf(
  pod: Pod,
): { readonly why: LeaveReason; readonly sinceMs: number } | undefined {
  const [word = "", time = ""] = pod.metadata.annotations?.[drainingAnnotation]?.split(" ") ?? [];
  const why = reasons.find((one) => one === word);
  const sinceMs = Date.parse(time);
  return why === undefined || Number.isNaN(sinceMs) ? undefined : { why, sinceMs };
}

const sentences: Readonly<Record<LeaveReason, string>> = {
  Roll: "it is of an older template and will be replaced",
  ScaleDown: "there are more instances than are needed",
  Used: "it had the one run that it is for",
};

/** Says it for people. */
export function drainText(id: string, why: LeaveReason): string {
  return `Instance ${id} takes no new run: ${sentences[why]} once its runs end.`;
}
