// Why can a Builder, or one of its instances, not work? One shape for all answers, whoever finds them:
// the cluster's pods, the TLS Secret, or BuildKit itself.

/** One reason why something does not work. */
export interface Problem {
  readonly reason: ProblemReason;
  /** A full sentence that names the object and says what to do. */
  readonly message: string;
}

/**
 * Every reason, most fundamental first: of several problems the status shows the first of this list.
 * `acts: "person"` means that nothing gets better until somebody changes something (kstatus: Stalled).
 */
const catalogue = {
  InvalidSpec: "person",
  InvalidConfig: "person",
  InvalidPodTemplatePatch: "person",
  NameTaken: "person",
  SecretNotFound: "person",
  SecretForbidden: "person",
  SecretInvalid: "person",
  ConfigMapNotFound: "person",
  ConfigMapForbidden: "person",
  ConfigMapInvalid: "person",
  QuotaExceeded: "person",
  AdmissionDenied: "person",
  CreateFailed: "person",
  VolumeNotBound: "time",
  Unschedulable: "time",
  InvalidImageName: "person",
  ImagePullFailed: "person",
  ContainerCannotStart: "person",
  CrashLooping: "person",
  MountFailed: "time",
  BuilderTooOld: "person",
  TLSFailed: "person",
  HostKeyUnknown: "person",
  SSHDenied: "person",
  ExecForbidden: "person",
  SocketForbidden: "person",
  ContainerNotFound: "time",
  ContainerNotRunning: "time",
  PodNotFound: "time",
  PodNotRunning: "time",
  NameNotResolved: "time",
  ConnectionRefused: "time",
  ConnectionLost: "time",
  NotAnswering: "time",
  NotBuildKit: "person",
  DiskPressure: "time",
  Draining: "time",
  Terminating: "time",
  Starting: "time",
} as const satisfies Record<string, "person" | "time">;

/** CamelCase; also a condition reason. */
export type ProblemReason = keyof typeof catalogue;

/** All of them, most fundamental first. */
export const problemReasons: readonly string[] = Object.keys(catalogue);

const ranks = new Map(Object.keys(catalogue).map((reason, rank) => [reason, rank]));

/** Whether a `KilnError`'s reason is one of this catalogue. */
export function isProblemReason(reason: string): reason is ProblemReason {
  return Object.hasOwn(catalogue, reason);
}

/** Whether only a person can mend it, so that waiting is in vain. */
export function needsPerson(reason: ProblemReason): boolean {
  return catalogue[reason] === "person";
}

/** The most fundamental of `problems`; the earlier one among equals. */
export function worst(problems: readonly Problem[]): Problem | undefined {
  return [...problems].sort((a, b) => rank(a.reason) - rank(b.reason))[0];
}

/** Cuts what came from elsewhere to a length that fits a condition, and to one line. */
export function oneLine(text: string, max = 700): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length <= max ? line : `${line.slice(0, max - 1)}…`;
}

function rank(reason: ProblemReason): number {
  return ranks.get(reason) ?? ranks.size;
}
