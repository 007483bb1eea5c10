# Kiln as an image: `docker build .`, or with BuildKit alone
#   buildctl build --frontend dockerfile.v0 --local context=. --local dockerfile=.
#
# Behind a registry mirror or a proxy of your own, pass what npm needs to know as secrets (neither
# gets into a layer): `npmrc`, a file for npm, and `ca`, certificates in PEM that Node shall trust.

FROM node:24-slim AS build
WORKDIR /kiln
ENV NODE_EXTRA_CA_CERTS=/run/secrets/ca
COPY package.json package-lock.json ./
# Scripts of dependencies are not run: nothing in the image needs what they would make.
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc \
    --mount=type=secret,id=ca,target=/run/secrets/ca \
    --mount=type=cache,target=/root/.npm \
    npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.base.json ./
COPY src src
COPY scripts/bundle.ts scripts/
# Types are checked before; here they are only taken out.
RUN node scripts/bundle.ts \
 && npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24-slim
WORKDIR /kiln
ENV NODE_ENV=production
COPY --link package.json ./
COPY --link crds crds
COPY --link entrypoint.sh ./
COPY --link --from=build /kiln/node_modules node_modules
COPY --link --from=build /kiln/dist dist
# The number, not a name: Kubernetes can tell that it is not root. Only /tmp has to be writable.
USER 65532:65532
ENTRYPOINT ["/kiln/entrypoint.sh"]
CMD ["controller"]
