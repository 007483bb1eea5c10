// What two indexes of the same build have in common, whoever put them together. Pure.

/** An entry of an image index. */
export interface IndexEntry {
  readonly digest: string;
  readonly mediaType: string;
  readonly platform?: { readonly architecture: string; readonly os: string };
  readonly annotations?: Readonly<Record<string, string>>;
}

/** What an index says but for digests that differ from build to build: those of attestations. */
export function shapeOf(manifests: readonly IndexEntry[]): unknown[] {
  const order = new Map(manifests.map(({ digest, platform }) => [digest, platform?.architecture]));
  return manifests
    .map(({ digest, mediaType, platform, annotations = {} }) => {
      const about = annotations["vnd.docker.reference.digest"];
      const isAttestation = about !== undefined;
      return {
        mediaType,
        platform,
        ...(isAttestation ? {} : { digest }),
        annotations: {
          ...annotations,
          ...(isAttestation && { "vnd.docker.reference.digest": order.get(about) }),
        },
        key: `${platform?.architecture} ${about === undefined ? "" : order.get(about)}`,
      };
    })
    .toSorted((a, b) => (a.key < b.key ? -1 : 1));
}
