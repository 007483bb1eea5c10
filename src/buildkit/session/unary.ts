// A generated unary method and a function on its messages → an entry of an attachable.
import {
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { methodPath } from "../rpc/channel.ts";
import type { CallMetadata, UnaryMethod } from "./attachable.ts";

/** `[path, method]` for an attachable's `methods`. */
export function unaryMethod<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  answer: (
    request: MessageShape<I>,
    signal: AbortSignal,
    metadata: CallMetadata,
  ) => Promise<MessageInitShape<O>>,
): [path: string, method: UnaryMethod] {
  return [
    methodPath(method),
    {
      kind: "unary",
      async handle(request, metadata, signal) {
        const response = await answer(fromBinary(method.input, request), signal, metadata);
        return toBinary(method.output, create(method.output, response));
      },
    },
  ];
}
