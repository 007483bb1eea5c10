// Failures that a typed detail names.
// Texts as BuildKit v0.34.2 and the parts it is made of word them.
import type { Row } from "./row.ts";

/** The details that say all. Tried from the top. */
export const typedRows: readonly Row[] = [
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
  [
    "CompatibilityUnsupported",
    "User",
    "final",
    { detail: "CompatibilityFeature" },
    "Ask for another compatibility version, or leave out what needs a newer one.",
  ],
  [
    "ProvenanceIncomplete",
    "User",
    "final",
    { detail: "ProvenanceMaterialsIncomplete" },
    "Build from sources that can be named, such as git, or do not ask for complete materials.",
  ],
];
