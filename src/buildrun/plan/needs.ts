// What has to be read from the cluster before a solve can start. Names only: never what is in a Secret.

/** A Secret's key that the build may read as a session secret. */
export interface SecretNeed {
  readonly id: string;
  readonly name: string;
  readonly key: string;
}

/** A Secret whose SSH key steps may sign with. */
export interface SshNeed {
  readonly id: string;
  readonly name: string;
}

/** Where a local tree's files come from. */
export type TreeNeed =
  | { readonly kind: "inline"; readonly file: string; readonly text: string }
  | {
      readonly kind: "files";
      readonly files: readonly { readonly path: string; readonly text: string }[];
    }
  | { readonly kind: "configMap"; readonly name: string }
  | { readonly kind: "secret"; readonly name: string }
  | { readonly kind: "empty" };

/** Credentials of a git context: which Secret, and what it is used for. */
export interface GitNeed {
  readonly secretName: string;
  readonly transport: "http" | "ssh";
  readonly host: string;
  readonly remote: string;
}

/** Credentials of an archive that BuildKit fetches: which Secret, and the host that it is sent to. */
export interface ArchiveNeed {
  readonly secretName: string;
  /** Without the port: so BuildKit names the session secret. */
  readonly host: string;
}

/** A value of the cluster that becomes an attribute of the frontend. */
export interface ValueNeed {
  readonly attr: string;
  readonly kind: "configMap" | "secret";
  readonly name: string;
  readonly key: string;
}

/** Another run whose image becomes an attribute of the frontend. */
export interface RunNeed {
  readonly attr: string;
  readonly name: string;
}

/** Values of a Secret that become attributes of a cache or an output, and may stand in no plan. */
export interface HiddenNeed {
  /** Which list of the request, and which entry of it. */
  readonly list: "imports" | "exports" | "outputs";
  readonly index: number;
  /** Of the Secret. */
  readonly name: string;
  readonly attrs: readonly {
    readonly attr: string;
    readonly key: string;
    /** A Secret without this key is fine. */
    readonly optional?: boolean;
  }[];
}

/** The Secret of an S3 bucket: one form for caches and outputs. */
export function bucketLogin({
  secretRef,
}: {
  readonly secretRef: { readonly name: string };
}): Pick<HiddenNeed, "name" | "attrs"> {
  return {
    name: secretRef.name,
    attrs: [
      { attr: "access_key_id", key: "AWS_ACCESS_KEY_ID" },
      { attr: "secret_access_key", key: "AWS_SECRET_ACCESS_KEY" },
      { attr: "session_token", key: "AWS_SESSION_TOKEN", optional: true },
    ],
  };
}

/** Everything that has to be read. */
export interface Needs {
  readonly secrets: readonly SecretNeed[];
  readonly ssh: readonly SshNeed[];
  readonly gits: readonly GitNeed[];
  readonly registryCredentials: readonly string[];
  readonly hidden: readonly HiddenNeed[];
  readonly archives: readonly ArchiveNeed[];
  readonly values: readonly ValueNeed[];
  readonly runs: readonly RunNeed[];
  /** PersistentVolumeClaims that outputs go onto; the run's account has to be allowed to see them. */
  readonly claims: readonly string[];
  /** By the name that the frontend asks for. */
  readonly trees: Readonly<Record<string, TreeNeed>>;
}

/** Of a build that names nothing in the cluster. */
export const noNeeds: Needs = {
  secrets: [],
  ssh: [],
  gits: [],
  registryCredentials: [],
  hidden: [],
  archives: [],
  values: [],
  runs: [],
  claims: [],
  trees: {},
};
