// Answers and failures of a registry → KilnError of class Registry. Pure; no message holds a login.
import { KilnError } from "../errors/index.ts";

/** The network failed before there was an answer. Retryable unless it is the certificate. */
export function unreachable(host: string, cause: unknown): KilnError {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (/CERT|SELF_SIGNED|ALTNAME|VERIFY|ISSUER/i.test(code)) {
    return new KilnError({
      class: "Registry",
      reason: "RegistryTlsFailed",
      message: `Registry ${host} has a certificate that Kiln does not trust (${code}): give Kiln its CA, or mark the registry as insecure.`,
      cause,
    });
  }
  const detail = code === "" ? "" : ` (${code})`;
  return new KilnError({
    class: "Registry",
    reason: "RegistryUnreachable",
    message: `Registry ${host} cannot be reached${detail}: check its address and the network.`,
    retryable: true,
    cause,
  });
}

/** The registry or its token server said no. `what` is what was asked for: "docker.io/library/x:1". */
export function refused(host: string, status: number, what: string): KilnError {
  if (status === 401 || status === 403) {
    return new KilnError({
      class: "Registry",
      reason: "RegistryAuthFailed",
      message: `Registry ${host} refuses access to ${what} (${status}): give credentials that may do this, or correct them.`,
    });
  }
  if (status === 404) {
    return new KilnError({
      class: "Registry",
      reason: "ImageNotFound",
      message: `Registry ${host} has no ${what}: check its name and tag.`,
    });
  }
  if (status === 429) {
    return new KilnError({
      class: "Registry",
      reason: "RegistryRateLimited",
      message: `Registry ${host} limits requests for ${what}: log in, or use a mirror.`,
      retryable: true,
    });
  }
  return new KilnError({
    class: "Registry",
    reason: "RegistryUnavailable",
    message: `Registry ${host} answered ${status} for ${what}.`,
    retryable: status >= 500,
  });
}

/** Somebody was in between: `tag` was pushed with one digest and has another. */
export function pushedTagDiffers(tag: string, pushed: string, found: string): KilnError {
  return new KilnError({
    class: "Registry",
    reason: "PushedTagDiffers",
    message: `${tag} was pushed with ${pushed}, and the registry shows ${found} under it: somebody else pushed the same tag, or the registry lost the push.`,
    retryable: true,
  });
}
