// Secrets join the request where the daemon is asked: caches take credentials as attributes only. Pure.

import type { SolveRequest, TypedAttrs } from "../../buildkit/index.ts";
import type { HiddenAttrs } from "../agent.ts";

/** The request as the daemon gets it. It may be kept nowhere. */
export function withHidden(
  request: SolveRequest,
  hidden: readonly HiddenAttrs[] = [],
): SolveRequest {
  const filled = (list: HiddenAttrs["list"], entries: readonly TypedAttrs[]): TypedAttrs[] =>
    entries.map(({ type, attrs }, index) => {
      const more = hidden.filter((one) => one.list === list && one.index === index);
      return { type, attrs: Object.assign({}, attrs, ...more.map((one) => one.attrs)) };
    });
  if (hidden.length === 0) return request;
  const frontend = hidden.filter(({ list }) => list === "frontend").map(({ attrs }) => attrs);
  return {
    ...request,
    frontendAttrs: Object.assign({}, request.frontendAttrs, ...frontend),
    cacheImports: filled("imports", request.cacheImports),
    cacheExports: filled("exports", request.cacheExports),
  };
}
