// A file output onto a PersistentVolumeClaim: what comes out of BuildKit goes on to the pod that writes there.
import type { FileSink } from "../../../buildkit/index.ts";
import { KilnError } from "../../../errors/index.ts";
import { filesSink, followed } from "../files-sink.ts";
import { hiddenOf, type Opening } from "../opening.ts";
import { type PieceTarget, piecewise } from "../pieces.ts";
import type { OutputPlace } from "../places.ts";
import { type ReceiverAddress, type Sender, sender, singleName } from "./sender.ts";

/** Makes sinks for the output. Throws KilnError Infra `OutputPodUnreachable` when nobody said which pod. */
export function claimSink(
  opening: Opening,
  place: Extract<OutputPlace, { kind: "persistentVolumeClaim" }>,
): () => FileSink {
  const { exporter, type, signal, done, fail } = opening;
  const to = receiverOf(opening, place.address);
  const location = `pvc://${place.claimName}/${place.path}`;
  return () => {
    const sent = sender(to, exporter, signal);
    const commit = async (): Promise<void> => {
      try {
        await sent.commit();
      } catch (error) {
        await sent.discard();
        throw error;
      }
    };
    if (type === "local")
      return filesSink(opening, {
        target: ({ path, mode }) => sent.file(path, mode),
        entry: async (entry) => await sent.entry(entry),
        async finish(made) {
          await commit();
          done({ exporter, location: `${location}/`, ...made });
        },
        abort: async () => await sent.discard(),
      });
    const whole = followed(single(sent), async (passed) => {
      await commit();
      done({ exporter, location, ...passed });
    });
    return piecewise(whole, fail);
  };
}

function single(sent: Sender): PieceTarget {
  const file = sent.file(singleName);
  return { ...file, abort: async () => await sent.discard() };
}

function receiverOf(opening: Opening, address?: string): ReceiverAddress {
  const { ca, certificate, key } = hiddenOf(opening);
  if (address === undefined || ca === undefined || certificate === undefined || key === undefined)
    throw new KilnError({
      class: "Infra",
      reason: "OutputPodUnreachable",
      message: "Nobody said which pod writes an output onto its PersistentVolumeClaim.",
      retryable: true,
    });
  return { address, ca, certificate, key };
}
