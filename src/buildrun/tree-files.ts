// What is in a ConfigMap or a Secret, as files. Pure.

import type { ConfigMap, Secret } from "../kube/types.ts";

/** The files of a ConfigMap, by its keys. */
export function configMapFiles({ data, binaryData }: ConfigMap): Map<string, Buffer> {
  const text = Object.entries(data ?? {}).map(
    ([name, value]) => [name, Buffer.from(value)] as const,
  );
  const binary = Object.entries(binaryData ?? {}).map(
    ([name, value]) => [name, Buffer.from(value, "base64")] as const,
  );
  return new Map([...text, ...binary]);
}

/** The files of a Secret, by its keys. */
export function secretFiles({ data }: Secret): Map<string, Buffer> {
  return new Map(
    Object.entries(data ?? {}).map(
      ([name, value]) => [name, Buffer.from(value, "base64")] as const,
    ),
  );
}
