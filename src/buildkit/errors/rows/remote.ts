// Failures of what is elsewhere: git, caches, registries, URLs; and of the secrets and keys that open them.
// Texts as BuildKit v0.34.2 and the parts it is made of word them.
import type { Row } from "./row.ts";

const gitSource =
  /failed to fetch remote|git (?:stderr|clone|fetch|ls-remote)|repository does not contain ref|failed to load cache key:.*git/i;
const cacheBackend =
  /operation error S3|s3 cache|\.blob\.core\.|azblob|azure storage|github actions cache|GetCacheEntryDownloadURL|twirp|_apis\/artifactcache/i;

/** Rows about the outside. Tried from the top. */
export const remoteRows: readonly Row[] = [
  // Secrets and SSH keys of the build.
  [
    "SecretMissing",
    "User",
    "final",
    { text: /secret \S+: not found|failed to load secret|secret .*not found/i },
    "Give the build a secret with this id.",
  ],
  [
    "SecretTooLarge",
    "User",
    "final",
    { text: /secret \S+ too big|invalid secret size/ },
    "BuildKit takes build secrets of up to 500 KiB.",
  ],
  [
    "SshKeyMissing",
    "User",
    "final",
    { text: /unset ssh forward key|no ssh (?:handler|agent|key)|no SSH key|sshforward/i },
    "Give the build an SSH key with this id.",
  ],

  // Git, and what is signed.
  [
    "SignatureInvalid",
    "Source",
    "final",
    {
      text: /signature verification failed|no signed tag found|git object is not signed|no valid signature found|failed to verify (?:ssh )?signature/,
    },
    "The source is not signed as the build asks for.",
  ],
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

  // Caches elsewhere.
  [
    "CacheAuthFailed",
    "Registry",
    "final",
    {
      about: cacheBackend,
      text: /\b40[13]\b|AccessDenied|Forbidden|SignatureDoesNotMatch|InvalidAccessKeyId|AuthenticationFailed|AuthorizationFailure|no EC2 IMDS role|NoCredentialProviders/i,
    },
    "Check the credentials of the cache.",
  ],
  [
    "CacheNotFound",
    "Registry",
    "final",
    { about: cacheBackend, text: /NoSuchBucket|ContainerNotFound|BucketNotFound/ },
    "Check the name of the bucket or container.",
  ],
  [
    "CacheUnreachable",
    "Registry",
    "retry",
    {
      about: cacheBackend,
      text: /dial tcp|i\/o timeout|connection re(?:set|fused)|no such host|EOF|\b5\d\d\b|SlowDown|exceeded maximum number of attempts|context deadline exceeded/i,
    },
    "The cache cannot be reached from the builder, or failed; leave errors of it aside with ignore-error.",
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
    "RegistryRefused",
    "Registry",
    "final",
    { text: /unexpected status(?: code)? from \w+ request.{0,400}: 4\d\d\b/ },
    "The registry does not take this request: check its address, and whether it speaks HTTPS.",
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
    {
      text: /(?:digest|checksum) mismatch|expected checksum to match|does not match expected (?:checksum|commit)|unexpected commit digest/i,
    },
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
];
