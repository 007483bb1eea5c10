// Can an instance build for a platform? Compares platform names as BuildKit's workers report them.

/** `linux/arm64/v8` and `linux/arm64` are one platform, as are `linux/arm/v7` and `linux/arm` (containerd/platforms). */
export function normalPlatform(platform: string): string {
  const [os = "", rawArch = "", rawVariant] = platform.toLowerCase().split("/");
  const arch = rawArch === "x86_64" ? "amd64" : rawArch === "aarch64" ? "arm64" : rawArch;
  const variant = arch === "arm" ? (rawVariant ?? "v7") : rawVariant;
  const implied = (arch === "arm64" && variant === "v8") || (arch === "amd64" && variant === "v1");
  return variant === undefined || implied ? `${os}/${arch}` : `${os}/${arch}/${variant}`;
}

/** The members of `wanted` that are not in `offered`, as the user wrote them. */
export function missingPlatforms(wanted: readonly string[], offered: readonly string[]): string[] {
  const have = new Set(offered.map(normalPlatform));
  return wanted.filter((platform) => !have.has(normalPlatform(platform)));
}
