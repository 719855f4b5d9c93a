// docker buildx bake -f deploy/docker/docker-bake.hcl            all images, for this machine
// docker buildx bake -f deploy/docker/docker-bake.hcl release    the same for amd64 and arm64, with SBOM and provenance, pushed

variable "REGISTRY" { default = "" } // "host/owner/"
variable "TAG" { default = "dev" }

group "default" { targets = ["engine", "engine-cpu", "worker", "service"] }
group "release" { targets = ["release-engine", "release-engine-cpu", "release-worker", "release-service"] }

target "engine" {
  context    = "."
  dockerfile = "deploy/docker/Dockerfile"
  target     = "engine"
  args       = { KIND = "engine" }
  tags       = ["${REGISTRY}tts-ops-engine:${TAG}"]
}

target "engine-cpu" {
  context    = "."
  dockerfile = "deploy/docker/Dockerfile"
  target     = "engine-cpu"
  args       = { KIND = "engine-cpu" }
  tags       = ["${REGISTRY}tts-ops-engine-cpu:${TAG}"]
}

target "worker" {
  context    = "."
  dockerfile = "deploy/docker/Dockerfile"
  target     = "worker"
  args       = { KIND = "worker" }
  tags       = ["${REGISTRY}tts-ops-worker:${TAG}"]
}

target "service" {
  context    = "."
  dockerfile = "deploy/docker/Dockerfile"
  target     = "service"
  args       = { KIND = "service" }
  tags       = ["${REGISTRY}tts-ops-service:${TAG}"]
}

target "_release" {
  platforms = ["linux/amd64", "linux/arm64"]
  attest    = ["type=sbom", "type=provenance,mode=max"]
  output    = ["type=registry"]
}

target "release-engine" { inherits = ["engine", "_release"] }
target "release-engine-cpu" { inherits = ["engine-cpu", "_release"] }
target "release-worker" { inherits = ["worker", "_release"] }
target "release-service" { inherits = ["service", "_release"] }
