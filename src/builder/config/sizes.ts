// How many bytes is that? Of a Kubernetes quantity (100Gi).

const binary: Readonly<Record<string, number>> = { Ki: 1, Mi: 2, Gi: 3, Ti: 4, Pi: 5, Ei: 6 };
const decimal: Readonly<Record<string, number>> = {
  n: -3,
  u: -2,
  m: -1,
  "": 0,
  k: 1,
  M: 2,
  G: 3,
  T: 4,
  P: 5,
  E: 6,
};

/** Bytes of a quantity that the API server took, rounded up. */
export function quantityBytes(quantity: string | number): number {
  const match = /^\+?([0-9.]+)([A-Za-z]*)(?:[eE]?([+-]?[0-9]+))?$/.exec(String(quantity));
  if (match === null) return 0;
  const [, digits = "0", suffix = "", exponent] = match;
  const value = Number(digits);
  if (exponent !== undefined) return Math.ceil(value * 10 ** Number(exponent));
  const power = binary[suffix];
  if (power !== undefined) return Math.ceil(value * 1024 ** power);
  return Math.ceil(value * 1000 ** (decimal[suffix] ?? 0));
}
