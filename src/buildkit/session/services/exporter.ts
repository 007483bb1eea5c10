// Exporters that are chosen when the build is done (moby.exporter.v1.Exporter): the daemon tells what came out,
// and gets the exporters to run. It asks only when the solve says so (SolveRequest.EnableSessionExporter).
import { Exporter } from "../../../gen/moby/exporter/v1/exporter_pb.ts";
import type { TypedAttrs } from "../../client-types.ts";
import type { Attachable } from "../attachable.ts";
import { unaryMethod } from "../unary.ts";

/** What a build made, before it is exported. */
export interface BuildOutcome {
  /** The result's metadata as the frontend set it, such as "containerimage.config". */
  readonly metadata: Readonly<Record<string, Uint8Array>>;
  /** Ids of the results, one for each platform. */
  readonly refs: readonly string[];
}

/** Answers of a session about exporters. */
export interface ExporterChoice {
  /** Which exporters shall run; they come after those of the request. None: an empty list. */
  find(outcome: BuildOutcome, signal: AbortSignal): Promise<readonly TypedAttrs[]>;
  /** Told when all exporters are done, with what they answered. */
  readonly finalize?: (
    exporterResponse: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ) => Promise<void>;
}

/** Serves the choice of exporters. */
export function exporterSession(choice: ExporterChoice): Attachable {
  const { finalize } = choice;
  const entries = [
    unaryMethod(Exporter.method.findExporters, async ({ metadata, refs }, signal) => {
      const chosen = await choice.find({ metadata, refs }, signal);
      return { exporters: chosen.map(({ type, attrs }) => ({ type, attrs: { ...attrs } })) };
    }),
    ...(finalize === undefined
      ? []
      : [
          unaryMethod(Exporter.method.finalizeExport, async ({ exporterResponse }, signal) => {
            await finalize(exporterResponse, signal);
            return {};
          }),
        ]),
  ];
  return { methods: Object.fromEntries(entries) };
}
