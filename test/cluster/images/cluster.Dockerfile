# What the cluster itself runs in pods: target "pause" holds a pod's namespaces, "coredns" answers
# names.
FROM busybox AS pause
ENTRYPOINT ["/bin/busybox", "sleep", "2147483647"]

FROM scratch AS coredns
COPY bin/coredns /coredns
ENTRYPOINT ["/coredns"]
