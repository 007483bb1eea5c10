// Which failure is whose, and what to do about it: the one table that decides class, reason and retryability.
// Typed details come first; text is matched only where BuildKit v0.34.2 gives no type. Pure.
import type { ErrorClass } from "../../errors/index.ts";
import type { ErrorFacts } from "./details.ts";

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
    /** A second text that must be there. */
    readonly about?: RegExp;
  };
  /** What the person can do; follows what happened. */
  readonly advice: string;
}

const grpc = {
  cancelled: 1,
  deadlineExceeded: 4,
  resourceExhausted: 8,
  unavailable: 14,
} as const;

const gitSource =
  /failed to fetch remote|git (?:stderr|clone|fetch|ls-remote)|repository does not contain ref|failed to load cache key:.*git/i;

type Row = readonly [
  reason: string,
  errorClass: ErrorClass,
  retry: "retry" | "final",
  when: ErrorRow["when"],
  advice: string,
];

const rows: readonly Row[] = [
  // Typed.
  ["StepFailed", "User", "final", { detail: "ExitMessage" }, "See its last output."],
  [
    "PolicyDenied",
    "Policy",
    "final",
    { detail: "DecisionResponse" },
    "Use a source that the policy allows.",
  ],
  [
    "UnsupportedFeature",
    "User",
    "final",
    { detail: "FrontendCap" },
    "Use a newer frontend or a newer BuildKit.",
  ],
  [
    "UnsupportedRequest",
    "User",
    "final",
    { detail: "Subrequest" },
    "The frontend does not know this request.",
  ],

  // The daemon and the way to it.
  [
    "DiskFull",
    "Builder",
    "retry",
    { text: /no space left on device|disk quota exceeded/i },
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
  [
    "TlsRejected",
    "Builder",
    "final",
    {
      codes: [grpc.unavailable],
      text: /^No connection established.*(?:certificate|tlsv1|SSL routines|wrong version number|handshake|altname|self.signed)/is,
    },
    "Check the CA, the client certificate and the server name.",
  ],
  [
    "BuilderUnreachable",
    "Builder",
    "retry",
    { codes: [grpc.unavailable], text: /^(?:No connection established|Name resolution failed)/i },
    "Nothing answers at the builder's address.",
  ],

  // Policy of the daemon.
  [
    "EntitlementNotAllowed",
    "Policy",
    "final",
    {
      text: /granting entitlement|entitlement .* is not allowed|is not allowed by build daemon configuration/,
    },
    "The builder's configuration must allow it.",
  ],
  [
    "PolicyDenied",
    "Policy",
    "final",
    { text: /source .* denied by policy|denied by policy|not allowed by policy/i },
    "Use a source that the policy allows.",
  ],

  // Secrets and SSH keys of the build.
  [
    "SecretMissing",
    "User",
    "final",
    { text: /secret \S+: not found|failed to load secret|secret .*not found/i },
    "Give the build a secret with this id.",
  ],
  [
    "SshKeyMissing",
    "User",
    "final",
    { text: /unset ssh forward key|no ssh (?:handler|agent|key)|sshforward/i },
    "Give the build an SSH key with this id.",
  ],

  // Git.
  [
    "GitAuthFailed",
    "Source",
    "final",
    {
      about: gitSource,
      text: /Authentication failed|could not read (?:Username|Password)|Permission denied|Invalid username or|HTTP Basic: Access denied|403|terminal prompts disabled|Host key verification failed|repository not found/i,
    },
    "Check the credentials of the git context: token, user and password, or SSH key and known hosts.",
  ],
  [
    "GitRevisionNotFound",
    "Source",
    "final",
    {
      about: gitSource,
      text: /does not contain ref|couldn't find remote ref|not our ref|unknown revision|invalid reference|reference is not a tree|bad object/i,
    },
    "The repository has no such branch, tag or commit.",
  ],
  [
    "GitRepositoryNotFound",
    "Source",
    "final",
    {
      about: gitSource,
      text: /repository .*not found|does not appear to be a git repository|not found: did you run/i,
    },
    "Check the URL of the git context.",
  ],
  [
    "GitUnreachable",
    "Source",
    "retry",
    { text: gitSource },
    "The git server did not answer as expected.",
  ],

  // Registry.
  [
    "RegistryRateLimited",
    "Registry",
    "retry",
    { text: /toomanyrequests|429 Too Many Requests/i },
    "The registry limits requests: log in, or use a mirror.",
  ],
  [
    "RegistryAuthFailed",
    "Registry",
    "final",
    {
      text: /pull access denied|authorization failed|insufficient_scope|failed to authorize|unauthorized|401 Unauthorized|403 Forbidden|no basic auth credentials|requested access to the resource is denied|failed to fetch (?:anonymous|oauth) token/i,
    },
    "Give the build credentials for this registry that may do this, or correct them.",
  ],
  [
    "RegistryUnavailable",
    "Registry",
    "retry",
    { text: /(?:unexpected status(?: code)?|received).{0,200}\b5\d\d\b/i },
    "The registry failed; this may pass.",
  ],
  [
    "RegistryTlsFailed",
    "Registry",
    "final",
    {
      text: /failed to (?:do request|resolve|push|configure).*(?:x509:|tls:|server gave HTTP response to HTTPS client)/i,
    },
    "The builder does not trust this registry: configure its CA, or mark it as insecure.",
  ],
  [
    "RegistryUnreachable",
    "Registry",
    "retry",
    {
      text: /failed to do request|(?:failed to (?:resolve|push|copy|fetch)|resolve source metadata).*(?:dial tcp|i\/o timeout|connection re(?:set|fused)|no such host|EOF)/i,
    },
    "The registry cannot be reached from the builder.",
  ],
  [
    "PlatformNotFound",
    "User",
    "final",
    { text: /no match for platform in manifest|does not match the specified platform/i },
    "The image does not exist for this platform.",
  ],
  [
    "ImageNotFound",
    "Registry",
    "final",
    {
      text: /(?:resolve source metadata for|failed to resolve|manifest unknown|name unknown).*(?:not found|unknown)|manifest unknown/i,
    },
    "No registry has this image: check its name and tag.",
  ],

  // HTTP contexts and ADD.
  [
    "ChecksumMismatch",
    "Source",
    "final",
    { text: /(?:digest|checksum) mismatch/i },
    "The downloaded bytes are not those that the checksum names.",
  ],
  [
    "DownloadRefused",
    "Source",
    "final",
    { text: /invalid response status 4\d\d/ },
    "Check the URL and whether it needs a login.",
  ],
  [
    "DownloadFailed",
    "Source",
    "retry",
    {
      text: /invalid response status 5\d\d|(?:Get|Head) "https?:.*(?:dial tcp|timeout|no such host|connection re|EOF)/,
    },
    "The server of this URL did not answer as expected.",
  ],

  // What was written.
  [
    "UnknownTarget",
    "User",
    "final",
    { text: /target stage .* could not be found/ },
    "Name a stage that the Dockerfile has.",
  ],
  [
    "ContextNotFound",
    "User",
    "final",
    { text: /local directory .* is not there|no access allowed to dir/ },
    "Give the build the directory that it names.",
  ],
  [
    "DockerfileNotFound",
    "User",
    "final",
    { text: /failed to read dockerfile/i },
    "Check the path of the Dockerfile in the context.",
  ],
  [
    "ContextFileNotFound",
    "User",
    "final",
    {
      text: /failed to (?:calculate checksum|compute cache key).*not found|lstat .*no such file or directory|no such file or directory/,
    },
    "The context does not have this file; .dockerignore may exclude it.",
  ],
  ["DockerfileInvalid", "User", "final", { detail: "Source" }, "Correct the Dockerfile."],
  [
    "DockerfileInvalid",
    "User",
    "final",
    {
      text: /dockerfile parse error|failed to parse platform|failed to parse stage name|no build stage/i,
    },
    "Correct the Dockerfile.",
  ],
  [
    "ExporterUnknown",
    "User",
    "final",
    { text: /exporter .* could not be found/ },
    "The builder has no such output.",
  ],
  [
    "OptionInvalid",
    "User",
    "final",
    { detail: "Frontend" },
    "The frontend refuses an option of this build.",
  ],

  // Endings without a better word.
  ["BuilderLost", "Builder", "retry", { codes: [grpc.unavailable] }, "The builder went away."],
  [
    "BuilderSilent",
    "Builder",
    "retry",
    { codes: [grpc.deadlineExceeded] },
    "The builder did not answer in time.",
  ],
  [
    "BuilderOverloaded",
    "Builder",
    "retry",
    { codes: [grpc.resourceExhausted], text: /received message larger|larger than max/i },
    "A message was larger than 16 MiB.",
  ],
  ["BuildStopped", "Builder", "retry", { codes: [grpc.cancelled] }, "The builder stopped it."],
  ["BuildFailed", "User", "final", { detail: "Vertex" }, "See its last output."],
  ["SolveFailed", "Builder", "final", {}, "See the builder's log."],
];

/** The table. The last row always holds. */
export const errorTable: readonly ErrorRow[] = rows.map(
  ([reason, errorClass, retry, when, advice]) => ({
    reason,
    class: errorClass,
    retryable: retry === "retry",
    when,
    advice,
  }),
);

const headChars = 4096;

/** Messages come from a daemon that runs other people's Dockerfiles: what is matched against them is bounded. */
function clipped(message: string): string {
  if (message.length <= 2 * headChars) return message;
  return `${message.slice(0, headChars)}\n${message.slice(-headChars)}`;
}

/** The first row that holds for these facts. */
export function rowOf(facts: ErrorFacts): ErrorRow {
  const message = clipped(facts.message);
  const row = errorTable.find(
    ({ when }) =>
      (when.detail === undefined || facts.details.has(when.detail)) &&
      (when.codes === undefined || when.codes.includes(facts.code)) &&
      (when.about === undefined || when.about.test(message)) &&
      (when.text === undefined || when.text.test(message)),
  );
  if (row === undefined) throw new TypeError("the error table has no last row");
  return row;
}
