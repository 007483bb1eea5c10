// A generated service as grpc-js wants it: paths and codecs. Used by the agent's server and by its client.

import {
  create,
  type DescMessage,
  type DescService,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { ServiceDefinition } from "@grpc/grpc-js";

/** Bytes of a message that may be given as plain members. */
export function encode<T extends DescMessage>(schema: T, message: MessageInitShape<T>): Buffer {
  const bytes = toBinary(schema, create(schema, message));
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The service for `Server.addService`; handlers are named as the generated methods are. */
export function definitionOf(service: DescService): ServiceDefinition {
  return Object.fromEntries(
    service.methods.map(({ localName, name, methodKind, input, output }) => [
      localName,
      {
        path: `/${service.typeName}/${name}`,
        requestStream: methodKind === "client_streaming" || methodKind === "bidi_streaming",
        responseStream: methodKind === "server_streaming" || methodKind === "bidi_streaming",
        requestSerialize: (message: MessageInitShape<typeof input>) => encode(input, message),
        requestDeserialize: (bytes: Buffer) => fromBinary(input, bytes),
        responseSerialize: (message: MessageInitShape<typeof output>) => encode(output, message),
        responseDeserialize: (bytes: Buffer) => fromBinary(output, bytes),
      },
    ]),
  );
}
