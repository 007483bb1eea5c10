// Pieces that more than one kind is made of: names, references, image references, conditions.

import { z } from "zod";
import { cel, type Rule, text } from "../schema.ts";

/** Name of an object in the same namespace (DNS-1123 subdomain). */
export const ObjectName = text(
  { max: 253 },
  {
    matches: /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/,
    message:
      "must be the name of an object: lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit",
  },
);

/** Key of a Secret or ConfigMap. */
export const DataKey = text(
  { max: 253 },
  {
    matches: /^[A-Za-z0-9._-]+$/,
    message: "must be a key of the Secret: letters, digits, '-', '_' and '.' only",
  },
);

/** A Secret named by its name. */
export const SecretRef = z.object({
  name: ObjectName.describe("Name of the Secret, in the same namespace."),
});

const host =
  "([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?([.][A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*|\\[[0-9A-Fa-f:]+\\])(:[0-9]{1,5})?";
const component = "[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*";
const repository = `(${host}/)?${component}(/${component})*`;
const tag = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}";
const digest = "sha256:[a-f0-9]{64}";

/** An image to push or a cache to keep: `[host[:port]/]repository[:tag]`, never a digest. */
export const ImageTag = text(
  { max: 400 },
  {
    matches: new RegExp(`^${repository}(:${tag})?$`),
    message:
      "must be written [host[:port]/]repository[:tag] in lower case, without https:// and without a digest: for example registry.example.com/shop/web:1.2",
  },
);

/** An image to pull: like a tag, or pinned by `@sha256:…`. */
export const ImageRef = text(
  { max: 500 },
  {
    matches: new RegExp(`^${repository}(:${tag})?(@${digest})?$`),
    message:
      "must be an image reference [host[:port]/]repository[:tag][@sha256:digest], without https://",
  },
);

/** A path inside a folder, of at most `max` characters. */
export function relativePath(max: number) {
  return text(
    { max },
    {
      matches: /^[^/\\:#\p{Cc}-][^\\:#\p{Cc}]*$/u,
      lacks: /(^|\/)\.\.(\/|$)/u,
      message:
        "must be a relative path inside the context, without '..', and must not begin with '/' or '-'",
    },
  );
}

/** A path inside the context: relative, and never above its root. */
export const RelativePath = relativePath(1024);

/** An S3 bucket. */
export const BucketName = text(
  { min: 3, max: 63 },
  {
    matches: /^[a-z0-9][a-z0-9._-]*[a-z0-9]$/,
    message: "must be the name of a bucket: lower-case letters, digits, '.', '-' and '_'",
  },
);

/** Address of a service; no credentials and no query. */
export const HttpEndpoint = text(
  { max: 512 },
  {
    matches: /^https?:\/\/[A-Za-z0-9[][^@?#\\\s]*$/,
    message:
      "must be http(s)://host[:port][/path], without user, password, '?' or '#': credentials belong in a Secret",
  },
);

/** Beginning of the names of objects in a bucket. */
export const ObjectPrefix = text(
  { max: 256 },
  {
    matches: /^[A-Za-z0-9!_.*()/-]+$/,
    lacks: /^\/|(^|\/)\.\.?(\/|$)/,
    message: "must be letters, digits and any of ! _ . * ( ) / -, not beginning with '/'",
  },
);

/** A platform as BuildKit writes it. */
export const Platform = text(
  { max: 64 },
  {
    matches: /^[a-z0-9]+\/[a-z0-9_]+(\/[a-z0-9.]+)?$/,
    message:
      "must be written os/architecture or os/architecture/variant, for example linux/amd64 or linux/arm/v7",
  },
);

const mutable: readonly string[] = ["cancel", "ttlAfterFinished"];

/** The rules of a spec that is run once: nothing of it changes but `ttlAfterFinished` and, once, `cancel`. */
export function runOnce(
  fields: readonly string[],
  { noun, kind }: { readonly noun: string; readonly kind: string },
): readonly Rule[] {
  const fixed = fields.filter((field) => !mutable.includes(field));
  return [
    ...fixed.map((field) =>
      cel(
        `has(self.${field}) == has(oldSelf.${field}) && (!has(self.${field}) || self.${field} == oldSelf.${field})`,
        `${field} can not be changed after the ${noun} was created: create a new ${kind}`,
        `.${field}`,
      ),
    ),
    cel(
      "!oldSelf.cancel || self.cancel",
      `cancel can not be taken back: create a new ${kind}`,
      ".cancel",
    ),
  ];
}

/** Longest text the controller may write into status; longer ones are cut before. */
export const statusLimits = {
  /** Conditions, failures, per-instance and per-cache messages. */
  message: 4096,
  /** Reasons: CamelCase words. */
  reason: 128,
  /** Names of steps, as BuildKit prints them. */
  step: 1024,
  /** Lines of `failure.logTail`, and characters of each. */
  logLines: 64,
  logLine: 1024,
  instances: 256,
  attempts: 32,
  baseImages: 64,
  platforms: 64,
  /** One more than the gaps that keepWarm looks at. */
  recentStarts: 17,
  warnings: 32,
  /** JSON or text of an answer to `spec.call`. */
  answer: 16_384,
} as const;

const Message = z.string().max(statusLimits.message);
const Reason = z.string().max(statusLimits.reason);

/** Text for a person; at most `statusLimits.message` characters. */
export const StatusMessage = Message;

/** A CamelCase word that programs may rely on. */
export const StatusReason = Reason;

/** A point in time, RFC 3339. */
export const Timestamp = z.iso
  .datetime({ offset: true })
  .meta({ pattern: undefined, format: "date-time", maxLength: 64 });

/** A count, 0 or more. */
export const Count = z.int().min(0).max(2_147_483_647);

/** A number of milliseconds, 0 or more. */
export const Milliseconds = z.int().min(0).max(31_536_000_000);

/** `metav1.Condition`. */
export const Condition = z.object({
  type: z
    .string()
    .min(1)
    .max(316)
    .describe("What the condition is about, such as Ready or Succeeded."),
  status: z.enum(["True", "False", "Unknown"]).describe("Whether it holds."),
  reason: z.string().min(1).max(1024).describe("Why, as one CamelCase word for programs."),
  message: z
    .string()
    .max(32768)
    .describe("Why, as a sentence for people; says what to do when something is wrong."),
  lastTransitionTime: Timestamp.describe("When status last changed."),
  observedGeneration: Count.optional().describe("The metadata.generation that this speaks about."),
});

/** `metav1.Condition`: type, status, reason, message, lastTransitionTime, observedGeneration. */
export type Condition = z.output<typeof Condition>;

/** Name of a Secret in the same namespace. */
export type SecretRef = z.output<typeof SecretRef>;
