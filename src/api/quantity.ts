// Kubernetes quantities and sizes of Docker as numbers of bytes: "128Mi" and "128m" → 134217728.

const factors: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** The bytes of a quantity that the schema's `quantity()` accepts, rounded up. Throws on anything else. */
export function bytesOfQuantity(written: string | number): number {
  const match = /^\+?([0-9]*\.?[0-9]*)([eE][+-]?[0-9]+)?([A-Za-z]*)$/.exec(String(written));
  const factor = factors[match?.[3] ?? ""];
  const number = Number(`${match?.[1] ?? ""}${match?.[2] ?? ""}`);
  if (match === null || match[1] === "" || factor === undefined || !Number.isFinite(number))
    throw new Error(`"${written}" is not a quantity like 128Mi`);
  return Math.ceil(number * factor);
}

/**
 * Bytes of a size as Docker and buildkitd.toml have it, such as 128m, 64KiB or 1.5GB; undefined for what is none ("20%").
 * Units are powers of 1024, whichever way they are written (docker/go-units RAMInBytes).
 */
export function bytesOfSize(size: string | number): number | undefined {
  if (typeof size === "number") return size;
  const match = /^([0-9]+(?:\.[0-9]+)?) ?([kKmMgGtTpP])?(?:[iI]?[bB])?$/.exec(size);
  if (match === null) return undefined;
  const power = " kmgtp".indexOf((match[2] ?? " ").toLowerCase());
  return Math.trunc(Number(match[1]) * 1024 ** power);
}
