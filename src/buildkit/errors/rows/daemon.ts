// Failures of the daemon, of the way to it, and of what it allows; and of its history.
// Texts as BuildKit v0.34.2 and the parts it is made of word them.
import type { Row } from "./row.ts";
import { grpcStatus } from "../grpc-status.ts";

/** Rows about the daemon. Tried from the top. */
export const daemonRows: readonly Row[] = [
  // The daemon and the way to it.
  [
    "DiskFull",
    "Builder",
    "retry",
    { text: /no space left on device|disk quota exceeded|out of diskspace/i },
    "The builder's disk is full: prune its cache or give it more storage.",
  ],
  [
    "SessionLost",
    "Infra",
    "retry",
    { text: /no active sessions?\b|session healthcheck failed|session .* (?:dropped|not found)/i },
    "The connection between Kiln and the builder broke.",
  ],
  [
    "DuplicateRef",
    "Infra",
    "final",
    { text: /job ID \S+ exists/ },
    "This ref is already being solved.",
  ],
  // Of a step: a call that the builder itself does not answer has no details.
  [
    "TimedOut",
    "Builder",
    "retry",
    { codes: [grpcStatus.deadlineExceeded], detail: "Source" },
    "Something that the builder waited for did not answer in time: a registry, or the session's logins.",
  ],
  [
    "TimedOut",
    "Builder",
    "retry",
    { codes: [grpcStatus.deadlineExceeded], detail: "Vertex" },
    "Something that the builder waited for did not answer in time: a registry, or the session's logins.",
  ],
  [
    "RefNotFound",
    "User",
    "final",
    { text: /no such job|failed to retrieve ref|ref \S+ is deleted/ },
    "The builder does not know this build: it was never there, or is forgotten.",
  ],
  [
    "BlobNotFound",
    "User",
    "final",
    { codes: [grpcStatus.notFound], text: /content digest|blob .*not found/ },
    "The builder's history does not have this blob any more.",
  ],
  [
    "FilterInvalid",
    "User",
    "final",
    {
      text: /failed to parse (?:history |prune |diskusage |list workers? )?filters?\b|^(?:filters: )?parse error|invalid (?:limit|time|duration) \S+$/,
    },
    "Correct the filter.",
  ],
  [
    "TlsRejected",
    "Builder",
    "final",
    {
      codes: [grpcStatus.unavailable],
      text: /^no connection.*(?:certificate|tlsv1|SSL routines|wrong version number|handshake|altname|self.signed)/is,
    },
    "Check the CA, the client certificate and the server name.",
  ],
  [
    "BuilderUnreachable",
    "Builder",
    "retry",
    { codes: [grpcStatus.unavailable], text: /^no connection: / },
    "Nothing answers at the builder's address.",
  ],
  [
    // A proxy's or a web server's; else its number would be taken for a registry's.
    "BuilderUnreachable",
    "Builder",
    "retry",
    { text: /^the server answered HTTP \d+.* and not gRPC$/ },
    "Something else than a builder answers at the builder's address.",
  ],

  // Policy of the daemon.
  [
    "EntitlementNotAllowed",
    "Policy",
    "final",
    {
      text: /granting entitlement|entitlement .* is not allowed|is not allowed by build daemon configuration|(?:network\.host|security\.insecure) is not allowed|requested by the build but not allowed/,
    },
    "The build must ask for it, and the builder's configuration must allow it.",
  ],
  [
    "EntitlementUnknown",
    "User",
    "final",
    { text: /unknown entitlement/ },
    "Ask for an entitlement that BuildKit has: network.host, security.insecure or device.",
  ],
  [
    "FrontendNotAllowed",
    "Policy",
    "final",
    // The latter of a daemon that runs no frontend images at all.
    { text: /is not an allowed gateway source|invalid frontend: gateway\.v0/ },
    "Use a frontend that the builder's configuration allows.",
  ],
  [
    "PolicyDenied",
    "Policy",
    "final",
    { text: /source .* denied by policy|denied by policy|not allowed by policy|due to policy/i },
    "Use a source that the policy allows.",
  ],
];
