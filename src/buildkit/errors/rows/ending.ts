// Failures that nothing says more of.
// Texts as BuildKit v0.34.2 and the parts it is made of word them.
import type { Row } from "./row.ts";
import { grpcStatus } from "../grpc-status.ts";

/** The last rows; the very last always holds. Tried from the top. */
export const endingRows: readonly Row[] = [
  // Endings without a better word.
  [
    "MessageTooLarge",
    "User",
    "final",
    {
      codes: [grpcStatus.resourceExhausted],
      text: /message (?:with a size )?larger|larger than (?:max|\d+)|trying to send message/i,
    },
    "One message may have 16 MiB: ask for less, or read in parts.",
  ],
  [
    "MessageTooLarge",
    "User",
    "final",
    { text: /exceeds maximum allowed size of \d+ bytes|is larger than \d+ bytes/ },
    "One message may have 16 MiB: ask for less, or read in parts.",
  ],
  [
    "BuilderLost",
    "Builder",
    "retry",
    { codes: [grpcStatus.unavailable] },
    "The builder went away.",
  ],
  [
    "BuilderSilent",
    "Builder",
    "retry",
    { codes: [grpcStatus.deadlineExceeded] },
    "The builder did not answer in time.",
  ],
  [
    "BuilderOverloaded",
    "Builder",
    "retry",
    { codes: [grpcStatus.resourceExhausted] },
    "The builder has too much to do.",
  ],
  [
    "TimedOut",
    "Builder",
    "retry",
    { text: /context deadline exceeded|i\/o timeout|handshake timeout/ },
    "Something that the builder waited for did not answer in time.",
  ],
  [
    "BuildStopped",
    "Builder",
    "retry",
    { codes: [grpcStatus.cancelled] },
    "The builder stopped it.",
  ],
  ["BuildFailed", "User", "final", { detail: "Vertex" }, "See its last output."],
  ["SolveFailed", "Builder", "final", {}, "See the builder's log."],
];
