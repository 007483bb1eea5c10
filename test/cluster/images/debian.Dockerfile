# debian:bookworm-slim, from a root file system that debootstrap made.
FROM scratch
ARG TARGETARCH
ADD debian-${TARGETARCH}.tar /
CMD ["bash"]
