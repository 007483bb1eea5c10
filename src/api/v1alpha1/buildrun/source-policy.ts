// Rules for the sources of a build: which images, repositories and URLs it may use, and by what they are replaced.

import { z } from "zod";
import { cel, rules } from "../../schema.ts";

const Constraint = z.object({
  key: z.string().min(1).max(256).describe("Attribute of the source, such as git.fullurl."),
  value: z.string().max(2048).describe("What it is compared with."),
  condition: z
    .enum(["equal", "notEqual", "matches"])
    .default("equal")
    .describe("How it is compared; matches takes a regular expression."),
});

const Rule = z
  .object({
    action: z
      .enum(["allow", "deny", "convert"])
      .describe("What becomes of the sources. Of allow and deny, the last that fits holds."),
    identifier: z
      .string()
      .min(1)
      .max(2048)
      .describe(
        "Which sources, as BuildKit names them: docker-image://docker.io/library/alpine:*, git://host/path.git, https://….",
      ),
    match: z
      .enum(["wildcard", "exact", "regex"])
      .default("wildcard")
      .describe("How identifier is read."),
    constraints: z.array(Constraint).max(16).default([]).describe("What else must hold."),
    replacement: z
      .string()
      .min(1)
      .max(2048)
      .optional()
      .describe("For convert: the source to use instead. ${1} is what the first * matched."),
  })
  .meta(
    rules(
      cel(
        "(self.action == 'convert') == has(self.replacement)",
        "replacement belongs to the action convert: add it there, remove it elsewhere",
        ".replacement",
      ),
    ),
  );

/** `spec.sourcePolicy`. */
export const SourcePolicy = z.object({
  rules: z.array(Rule).min(1).max(64).describe("The rules, in order."),
});

/** Rules for sources, after defaults. */
export type SourcePolicy = z.output<typeof SourcePolicy>;
