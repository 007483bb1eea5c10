// Does a server of a test speak HTTP yet?

/** True once anything answers at the address, be it a refusal. */
export async function answersHttp(url: string): Promise<true | undefined> {
  try {
    await fetch(url, { signal: AbortSignal.timeout(2_000) });
    return true;
  } catch {
    return undefined;
  }
}
