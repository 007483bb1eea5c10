// `host:port` as flags and agents write it. Pure.

/** Host and port of an address; an IPv6 host stands in brackets there, and without them here. */
export function hostAndPort(address: string): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(":");
  const host = address.slice(0, colon).replace(/^\[|\]$/g, "");
  return { host, port: Number(address.slice(colon + 1)) };
}
