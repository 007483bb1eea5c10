// Which failure is whose, and what to do about it: the one table that decides class, reason and retryability.
// Typed details come first; text is matched only where BuildKit v0.34.2 gives no type. Pure.
import type { ErrorClass } from "../errors/index.ts";
import type { ErrorFacts } from "./error-details.ts";

/** One row: `when` holds ⇒ this is the failure. Rows are tried from the top. */
export interface ErrorRow {
  readonly reason: string;
  readonly class: ErrorClass;
  readonly retryable: boolean;
  /** All that are given must hold. */
  readonly when: {
    readonly detail?: string;
    readonly codes?: readonly number[];
    readonly text?: RegExp;
  };
  /** What the person can do; follows what happened. */
  readonly advice: string;
}

const grpc = {
  cancelled: 1,
  unknown: 2,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  unimplemented: 12,
  unavailable: 14,
  unauthenticated: 16,
} as const;

const gitSource =
  /failed to fetch remote|git (?:stderr|clone|fetch|ls-remote)|repository does not contain ref|failed to load cache key:.*git/i;

function git(text: RegExp): RegExp {
  return new RegExp(`(?=[^]*(?:${gitSource.source}))[^]*(?:${text.source})`, "i");
}

/** The table. The last row always holds. */
export const errorTable: readonly ErrorRow[] = [
  // Typed.
  {
    reason: "StepFailed",
    class: "User",
    retryable: false,
    when: { detail: "ExitMessage" },
    advice: "See its last output.",
  },
  {
    reason: "PolicyDenied",
    class: "Policy",
    retryable: false,
    when: { detail: "DecisionResponse" },
    advice: "Use a source that the policy allows.",
  },
  {
    reason: "UnsupportedFeature",
    class: "User",
    retryable: false,
    when: { detail: "FrontendCap" },
    advice: "Use a newer frontend or a newer BuildKit.",
  },
  {
    reason: "UnsupportedRequest",
    class: "User",
    retryable: false,
    when: { detail: "Subrequest" },
    advice: "The frontend does not know this request.",
  },

  // The daemon and the way to it.
  {
    reason: "DiskFull",
    class: "Builder",
    retryable: true,
    when: { text: /no space left on device|disk quota exceeded/i },
    advice: "The builder's disk is full: prune its cache or give it more storage.",
  },
  {
    reason: "SessionLost",
    class: "Infra",
    retryable: true,
    when: {
      text: /no active sessions?\b|session healthcheck failed|session .* (?:dropped|not found)/i,
    },
    advice: "The connection between Kiln and the builder broke.",
  },
  {
    reason: "DuplicateRef",
    class: "Infra",
    retryable: false,
    when: { text: /job ID \S+ exists/ },
    advice: "This ref is already being solved.",
  },
  {
    reason: "TlsRejected",
    class: "Builder",
    retryable: false,
    when: {
      codes: [grpc.unavailable],
      text: /certificate|tlsv1|SSL routines|wrong version number|handshake|altname|self.signed/i,
    },
    advice: "Check the CA, the client certificate and the server name.",
  },
  {
    reason: "BuilderUnreachable",
    class: "Builder",
    retryable: true,
    when: {
      codes: [grpc.unavailable],
      text: /No connection established|ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|ENOENT|EACCES|name resolution|failed to connect/i,
    },
    advice: "Nothing answers at the builder's address.",
  },
  {
    reason: "BuilderLost",
    class: "Builder",
    retryable: true,
    when: { codes: [grpc.unavailable] },
    advice: "The builder went away.",
  },
  {
    reason: "BuilderSilent",
    class: "Builder",
    retryable: true,
    when: { codes: [grpc.deadlineExceeded] },
    advice: "The builder did not answer in time.",
  },
  {
    reason: "BuilderOverloaded",
    class: "Builder",
    retryable: true,
    when: { codes: [grpc.resourceExhausted], text: /received message larger|larger than max/i },
    advice: "A message was larger than 16 MiB.",
  },

  // Policy of the daemon.
  {
    reason: "EntitlementNotAllowed",
    class: "Policy",
    retryable: false,
    when: {
      text: /granting entitlement|entitlement .* is not allowed|is not allowed by build daemon configuration/,
    },
    advice: "The builder's configuration must allow it.",
  },
  {
    reason: "PolicyDenied",
    class: "Policy",
    retryable: false,
    when: { text: /source .* denied by policy|denied by policy|not allowed by policy/i },
    advice: "Use a source that the policy allows.",
  },

  // Secrets and SSH keys of the build.
  {
    reason: "SecretMissing",
    class: "User",
    retryable: false,
    when: { text: /secret \S+: not found|failed to load secret|secret .*not found/i },
    advice: "Give the build a secret with this id.",
  },
  {
    reason: "SshKeyMissing",
    class: "User",
    retryable: false,
    when: { text: /unset ssh forward key|no ssh (?:handler|agent|key)|sshforward/i },
    advice: "Give the build an SSH key with this id.",
  },

  // Git.
  {
    reason: "GitAuthFailed",
    class: "Source",
    retryable: false,
    when: {
      text: git(
        /Authentication failed|could not read (?:Username|Password)|Permission denied|Invalid username or|HTTP Basic: Access denied|403|terminal prompts disabled|Host key verification failed|repository not found/,
      ),
    },
    advice:
      "Check the credentials of the git context: token, user and password, or SSH key and known hosts.",
  },
  {
    reason: "GitRevisionNotFound",
    class: "Source",
    retryable: false,
    when: {
      text: git(
        /does not contain ref|couldn't find remote ref|not our ref|unknown revision|invalid reference|reference is not a tree|bad object/,
      ),
    },
    advice: "The repository has no such branch, tag or commit.",
  },
  {
    reason: "GitRepositoryNotFound",
    class: "Source",
    retryable: false,
    when: {
      text: git(
        /repository .*not found|does not appear to be a git repository|not found: did you run/,
      ),
    },
    advice: "Check the URL of the git context.",
  },
  {
    reason: "GitUnreachable",
    class: "Source",
    retryable: true,
    when: { text: gitSource },
    advice: "The git server did not answer as expected.",
  },

  // Registry.
  {
    reason: "RegistryRateLimited",
    class: "Registry",
    retryable: true,
    when: { text: /toomanyrequests|429 Too Many Requests/i },
    advice: "The registry limits requests: log in, or use a mirror.",
  },
  {
    reason: "RegistryAuthFailed",
    class: "Registry",
    retryable: false,
    when: {
      text: /pull access denied|authorization failed|insufficient_scope|failed to authorize|unauthorized|401 Unauthorized|403 Forbidden|no basic auth credentials|requested access to the resource is denied|failed to fetch (?:anonymous|oauth) token/i,
    },
    advice: "Give the build credentials for this registry that may do this, or correct them.",
  },
  {
    reason: "RegistryUnavailable",
    class: "Registry",
    retryable: true,
    when: { text: /(?:unexpected status(?: code)?|response status|received).{0,200}\b5\d\d\b/i },
    advice: "The registry failed; this may pass.",
  },
  {
    reason: "RegistryTlsFailed",
    class: "Registry",
    retryable: false,
    when: {
      text: /failed to (?:do request|resolve|push|configure).*(?:x509:|tls:|server gave HTTP response to HTTPS client)/i,
    },
    advice: "The builder does not trust this registry: configure its CA, or mark it as insecure.",
  },
  {
    reason: "RegistryUnreachable",
    class: "Registry",
    retryable: true,
    when: {
      text: /failed to do request|(?:failed to (?:resolve|push|copy|fetch)|resolve source metadata).*(?:dial tcp|i\/o timeout|connection re(?:set|fused)|no such host|EOF)/i,
    },
    advice: "The registry cannot be reached from the builder.",
  },
  {
    reason: "PlatformNotFound",
    class: "User",
    retryable: false,
    when: { text: /no match for platform in manifest|does not match the specified platform/i },
    advice: "The image does not exist for this platform.",
  },
  {
    reason: "ImageNotFound",
    class: "Registry",
    retryable: false,
    when: {
      text: /(?:resolve source metadata for|failed to resolve|manifest unknown|name unknown).*(?:not found|unknown)|manifest unknown/i,
    },
    advice: "No registry has this image: check its name and tag.",
  },

  // HTTP contexts and ADD.
  {
    reason: "ChecksumMismatch",
    class: "Source",
    retryable: false,
    when: { text: /(?:digest|checksum) mismatch/i },
    advice: "The downloaded bytes are not those that the checksum names.",
  },
  {
    reason: "DownloadRefused",
    class: "Source",
    retryable: false,
    when: { text: /invalid response status 4\d\d/ },
    advice: "Check the URL and whether it needs a login.",
  },
  {
    reason: "DownloadFailed",
    class: "Source",
    retryable: true,
    when: {
      text: /invalid response status 5\d\d|(?:Get|Head) "https?:.*(?:dial tcp|timeout|no such host|connection re|EOF)/,
    },
    advice: "The server of this URL did not answer as expected.",
  },

  // What was written.
  {
    reason: "UnknownTarget",
    class: "User",
    retryable: false,
    when: { text: /target stage .* could not be found/ },
    advice: "Name a stage that the Dockerfile has.",
  },
  {
    reason: "DockerfileNotFound",
    class: "User",
    retryable: false,
    when: { text: /failed to read dockerfile/i },
    advice: "Check the path of the Dockerfile in the context.",
  },
  {
    reason: "ContextFileNotFound",
    class: "User",
    retryable: false,
    when: {
      text: /failed to (?:calculate checksum|compute cache key).*not found|lstat .*no such file or directory|no such file or directory/,
    },
    advice: "The context does not have this file; .dockerignore may exclude it.",
  },
  {
    reason: "DockerfileInvalid",
    class: "User",
    retryable: false,
    when: { detail: "Source" },
    advice: "Correct the Dockerfile.",
  },
  {
    reason: "DockerfileInvalid",
    class: "User",
    retryable: false,
    when: {
      text: /dockerfile parse error|failed to parse platform|failed to parse stage name|no build stage/i,
    },
    advice: "Correct the Dockerfile.",
  },
  {
    reason: "ExporterUnknown",
    class: "User",
    retryable: false,
    when: { text: /exporter .* could not be found/ },
    advice: "The builder has no such output.",
  },
  {
    reason: "OptionInvalid",
    class: "User",
    retryable: false,
    when: { detail: "Frontend" },
    advice: "The frontend refuses an option of this build.",
  },

  // Endings without a better word.
  {
    reason: "BuildStopped",
    class: "Builder",
    retryable: true,
    when: { codes: [grpc.cancelled] },
    advice: "The builder stopped it.",
  },
  {
    reason: "BuildFailed",
    class: "User",
    retryable: false,
    when: { detail: "Vertex" },
    advice: "See its last output.",
  },
  {
    reason: "SolveFailed",
    class: "Builder",
    retryable: false,
    when: {},
    advice: "See the builder's log.",
  },
];

/** The first row that holds for these facts. */
export function rowOf(facts: ErrorFacts): ErrorRow {
  const row = errorTable.find(
    ({ when }) =>
      (when.detail === undefined || facts.details.has(when.detail)) &&
      (when.codes === undefined || when.codes.includes(facts.code)) &&
      (when.text === undefined || when.text.test(facts.message)),
  );
  if (row === undefined) throw new TypeError("the error table has no last row");
  return row;
}
