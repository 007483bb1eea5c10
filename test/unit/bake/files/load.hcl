target "_file" {
  dockerfile-inline = "FROM scratch\n"
}

target "plain" {
  inherits = ["_file"]
  tags = ["shop.example/plain:1"]
}

target "loaded" {
  inherits = ["_file"]
  output = ["type=docker,compression=zstd"]
}

target "saved" {
  inherits = ["_file"]
  output = ["type=docker,dest=./image.tar"]
}

target "pushed" {
  inherits = ["_file"]
  tags = ["shop.example/pushed:1"]
  output = ["type=image,push=true", "type=oci,dest=./image.tar"]
}

target "files" {
  inherits = ["_file"]
  output = ["./out"]
}

target "kept" {
  inherits = ["_file"]
  output = ["type=cacheonly"]
}

group "default" {
  targets = ["plain", "loaded", "saved", "pushed", "files", "kept"]
}
