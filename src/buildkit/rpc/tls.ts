// TLS material as the libraries take it, checked before anything is dialled. Pure.
import { BuildkitError } from "../errors/errors.ts";
import type { TlsMaterial } from "./endpoint.ts";

/** PEM as bytes. */
export interface CheckedTls {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/** Throws BuildkitError Builder/TlsInvalid for unusable PEM: later it would look like a connection that fails. */
export function checkedTls(tls: TlsMaterial | undefined): CheckedTls {
  if (tls === undefined) return {};
  try {
    if ((tls.cert === undefined) !== (tls.key === undefined))
      throw new TypeError("a certificate and its key come together");
    const checked = {
      ca: Buffer.from(tls.ca),
      ...(tls.cert === undefined ? {} : { cert: Buffer.from(tls.cert) }),
      ...(tls.key === undefined ? {} : { key: Buffer.from(tls.key) }),
    };
    // An import would read all of Node's root certificates: 15 ms of every start.
    process.getBuiltinModule("node:tls").createSecureContext(checked);
    return checked;
  } catch (cause) {
    throw new BuildkitError({
      class: "Builder",
      reason: "TlsInvalid",
      message:
        "The TLS material for this builder is not usable: give a CA, and a client certificate with its own key, all as PEM.",
      retryable: false,
      grpcCode: 14,
      cause,
    });
  }
}
