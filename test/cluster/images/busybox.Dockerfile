# busybox, from Debian's static build. Also stands in for alpine: a small image with /bin/sh.
FROM scratch
ARG TARGETARCH
ADD busybox-${TARGETARCH}.tar /
CMD ["sh"]
