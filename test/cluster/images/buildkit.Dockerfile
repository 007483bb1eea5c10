# The BuildKit images that builder pods run, with the paths, users, variables and entry points of
# the published ones: target "rootful" for moby/buildkit:VERSION, "rootless" for VERSION-rootless.
FROM debian:bookworm-slim AS common
RUN apt-get update \
  && apt-get install -y --no-install-recommends \
    ca-certificates git iptables openssh-client openssl pigz xz-utils \
  && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*
COPY bin/buildkitd bin/buildctl bin/buildkit-runc /usr/bin/

FROM common AS rootful
COPY --chmod=755 <<'SCRIPT' /usr/bin/buildkitd-entrypoint
#!/bin/sh
# On cgroup v2 a pod sees the node's tree: show buildkitd its own group as the root instead.
set -e
if [ -e /sys/fs/cgroup/cgroup.controllers ] && ! grep -q '^0::/$' /proc/self/cgroup; then
  remount='mount -t cgroup2 none /sys/fs/cgroup'
  if unshare --cgroup --mount sh -c "$remount" 2>/dev/null; then
    exec unshare --cgroup --mount sh -c "$remount && exec /usr/bin/buildkitd \"\$@\"" sh "$@"
  fi
fi
exec /usr/bin/buildkitd "$@"
SCRIPT
RUN mkdir -p /etc/cdi /var/run/cdi /etc/buildkit/cdi
ENV BUILDKIT_SETUP_CGROUPV2_ROOT=1
VOLUME /var/lib/buildkit
ENTRYPOINT ["/usr/bin/buildkitd-entrypoint"]

FROM common AS rootless
# Debian's newuidmap as a setuid program stays root and then needs CAP_SYS_ADMIN, which a pod lacks;
# with the one capability it needs it runs as the user.
RUN apt-get update \
  && apt-get install -y --no-install-recommends fuse-overlayfs libcap2-bin uidmap \
  && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* \
  && chmod u-s /usr/bin/newuidmap /usr/bin/newgidmap \
  && setcap cap_setuid=ep /usr/bin/newuidmap \
  && setcap cap_setgid=ep /usr/bin/newgidmap
RUN useradd --uid 1000 --user-group --create-home --shell /bin/sh user \
  && mkdir -p /run/user/1000 /home/user/.local/tmp /home/user/.local/share/buildkit \
  && chown -R user:user /run/user/1000 /home/user \
  && echo user:100000:65536 | tee /etc/subuid >/etc/subgid
COPY bin/rootlesskit /usr/bin/
USER 1000:1000
ENV HOME=/home/user
ENV USER=user
ENV XDG_RUNTIME_DIR=/run/user/1000
ENV TMPDIR=/home/user/.local/tmp
ENV BUILDKIT_HOST=unix:///run/user/1000/buildkit/buildkitd.sock
VOLUME /home/user/.local/share/buildkit
ENTRYPOINT ["rootlesskit", "buildkitd"]
