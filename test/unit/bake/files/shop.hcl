variable "TAG" {
  default = "1.2"
}

group "default" {
  targets = ["web", "images"]
}

group "images" {
  targets = ["api", "tools"]
}

target "base" {
  context = "base"
  tags = ["registry.example/shop/base:latest"]
}

target "web" {
  context = "."
  dockerfile = "web/Dockerfile"
  contexts = {
    base = "target:base"
    alpine = "docker-image://alpine:3.20"
    lib = "https://git.example/lib.git#v1:src"
    assets = "assets"
  }
  args = {
    VERSION = TAG
    HOME_OF = "$${HOME}"
    NONE = null
  }
  labels = {
    "org.example.by" = "bake"
  }
  annotations = ["index,manifest:org.example.a=b", "org.example.x=y=z"]
  tags = ["registry.example/shop/web:${TAG}"]
  platforms = ["linux/amd64", "linux/arm64"]
  attest = ["type=provenance,mode=max", { type = "sbom", disabled = true }]
  cache-from = ["registry.example/cache:web", { type = "s3", bucket = "caches", region = "eu" }]
  cache-to = ["type=registry,ref=registry.example/cache:web,mode=max,ignore-error=true", "type=inline"]
  secret = ["id=npm,src=./npmrc", "type=env,id=TOKEN"]
  ssh = ["key=./key"]
  output = ["type=image,push=true,compression=zstd", "type=local,dest=./out"]
  network = "host"
  no-cache-filter = ["release"]
  shm-size = "128m"
  ulimits = ["nofile=1024:2048", "core=0"]
  extra-hosts = {
    db = "10.0.0.7"
    db6 = "[2001:db8::7]"
  }
  entitlements = ["security.insecure"]
  resources = {
    memory = "512m"
    cpu-shares = 512
  }
  target = "release"
  pull = true
  call = "build"
}

target "api" {
  name = "api-${replace(version, ".", "-")}"
  matrix = {
    version = ["1.0", "2.0"]
  }
  args = {
    VERSION = version
  }
  tags = ["registry.example/shop/api:${version}"]
  dockerfile-inline = <<EOT
FROM scratch
ARG VERSION
COPY $${VERSION} /
EOT
}

target "tools" {
  description = "Programs for people."
  inherits = ["base"]
  output = ["type=registry"]
  no-cache = true
}

target "lint" {
  inherits = ["tools"]
  call = "check"
  output = []
}
