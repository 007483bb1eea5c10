// A frontend's answer to a question, as it goes to a run's status: small, and without the sources that it quotes. Pure.

import {
  lintResult,
  type LintResult,
  type SourceLocation,
  subrequestResult,
  subrequests,
} from "../../buildkit/index.ts";
import type { CallFacts, WarningFact } from "../agent.ts";

/** Characters of JSON, and of text, that leave the agent. */
const maxAnswer = 16_000;
/** Warnings that leave the agent; a run's status lists fewer. */
const maxWarnings = 200;

/** The facts of an answer in the metadata of a result, or in the exporter response of a history record. */
export function callFacts(
  request: string,
  metadata: Readonly<Record<string, string | Uint8Array>>,
  redact: (text: string) => string,
): CallFacts {
  const { json, text: plain, statusCode, version } = subrequestResult(metadata);
  const text = redact(plain);
  const isLint = request === subrequests.lint;
  // The JSON of lint quotes whole files; what it finds is told as warnings.
  const result = isLint || json === undefined ? undefined : redact(JSON.stringify(json));
  const cut = (result ?? "").length > maxAnswer || text.length > maxAnswer;
  return {
    request,
    version,
    statusCode,
    cut,
    ...(result === undefined || result.length > maxAnswer ? {} : { result }),
    ...(text === "" || text.length > maxAnswer ? {} : { text }),
    ...(isLint ? { lint: lintFacts(lintResult({ json }), redact) } : {}),
  };
}

function lintFacts(
  { warnings, sources, buildError }: LintResult,
  redact: (text: string) => string,
): NonNullable<CallFacts["lint"]> {
  const place = (location: SourceLocation | undefined): Pick<WarningFact, "file" | "line"> => {
    if (location === undefined) return {};
    const file = sources[location.source]?.path;
    const line = location.ranges[0]?.line;
    return { ...(file === undefined ? {} : { file }), ...(line === undefined ? {} : { line }) };
  };
  return {
    warnings: warnings
      .slice(0, maxWarnings)
      .map(({ rule, detail, description, url, location }) => ({
        ...(rule === "" ? {} : { rule }),
        message: redact(detail === "" ? description : detail),
        ...place(location),
        ...(url === "" ? {} : { url }),
      })),
    ...(buildError === undefined
      ? {}
      : { error: { message: redact(buildError.message), ...place(buildError.location) } }),
  };
}
