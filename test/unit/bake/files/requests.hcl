target "plain" {
}

target "args" {
  args = {
    VERSION = "1,2=3"
    EMPTY = ""
  }
  labels = {
    "org.example.by" = "a=b"
  }
}

target "git" {
  context = "http://git.example/app.git#main:web"
  contexts = {
    base = "docker-image://registry.example/base:1"
    lib = "http://git.example/app.git#main"
  }
}

target "inline" {
  dockerfile-inline = "FROM scratch\nCOPY Dockerfile /\n"
  target = ""
}

target "stage" {
  target = "base"
  platforms = ["linux/amd64"]
  no-cache-filter = ["base", "release"]
  pull = true
}

target "no-cache" {
  no-cache = true
  network = "none"
}

target "steps" {
  network = "host"
  shm-size = "128m"
  ulimits = ["nofile=1024:2048", "core=0"]
  extra-hosts = {
    db = "10.0.0.7"
    db6 = "[2001:db8::7]"
  }
  entitlements = ["security.insecure"]
  resources = {
    memory = "512m"
    memory-swap = "-1"
    cpu-shares = 512
    cpuset-cpus = "0"
  }
}

target "mounts" {
  secret = ["id=npm,src=./npmrc"]
  ssh = ["default=./key"]
}

target "attest" {
  attest = ["type=provenance,mode=max", "type=sbom,generator=registry.example/scanner:1"]
}

target "attest-none" {
  attest = ["type=provenance,disabled=true"]
}

target "push" {
  tags = ["registry.example/app:1", "registry.example/app:2"]
  output = ["type=registry"]
}

target "image" {
  tags = ["registry.example/app:3"]
  annotations = ["index,manifest:org.example.a=b", "org.example.x=y=z"]
  output = ["type=image,push=true,compression=zstd,compression-level=3,force-compression=true,oci-mediatypes=true"]
}

target "named" {
  output = ["type=image,\"name=registry.example/app:4,registry.example/app:5\",push=true,registry.insecure=true"]
}

target "files" {
  output = ["type=oci,dest=./image.tar,tar=true", "type=local,dest=./out,platform-split=true"]
}

target "cache" {
  tags = ["registry.example/app:6"]
  output = ["type=image,push=true"]
  cache-from = ["registry.example/cache:1", "type=registry,ref=registry.example/cache:2"]
  cache-to = ["type=registry,ref=registry.example/cache:1,mode=max", "type=inline"]
}

target "check" {
  call = "check"
  tags = ["registry.example/app:7"]
}

target "base" {
  dockerfile-inline = "FROM scratch\nCOPY Dockerfile /\n"
}

target "linked" {
  dockerfile-inline = "FROM base\n"
  contexts = {
    base = "target:base"
  }
}
