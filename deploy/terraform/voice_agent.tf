locals {
  namespace   = "voice-agent"
  own_livekit = var.livekit_url == ""
  livekit_url = local.own_livekit ? "ws://livekit-livekit-server.${local.namespace}.svc:80" : var.livekit_url
}

resource "kubernetes_namespace" "this" {
  metadata {
    name = local.namespace
    labels = {
      "pod-security.kubernetes.io/warn" = "restricted"
    }
  }

  depends_on = [aws_eks_node_group.cpu]
}

resource "random_password" "livekit" {
  length  = 48
  special = false
}

resource "random_password" "fleet" {
  length  = 48
  special = false
}

# What the chart reads by its value existingSecret.
resource "kubernetes_secret" "this" {
  metadata {
    name      = "voice-agent"
    namespace = kubernetes_namespace.this.metadata[0].name
  }

  data = {
    LIVEKIT_API_KEY    = "tts-ops"
    LIVEKIT_API_SECRET = random_password.livekit.result
    FLEET_KEY          = random_password.fleet.result
  }
}

# GPUs become a resource that pods can ask for.
resource "helm_release" "nvidia_device_plugin" {
  name       = "nvidia-device-plugin"
  namespace  = "kube-system"
  repository = "https://nvidia.github.io/k8s-device-plugin"
  chart      = "nvidia-device-plugin"
  version    = "0.17.1"

  depends_on = [aws_eks_node_group.gpu]
}

resource "helm_release" "livekit" {
  count = local.own_livekit ? 1 : 0

  name       = "livekit"
  namespace  = kubernetes_namespace.this.metadata[0].name
  repository = "https://helm.livekit.io"
  chart      = "livekit-server"
  version    = "1.9.0"

  values = [yamlencode({
    livekit = {
      keys   = { "tts-ops" = random_password.livekit.result }
      agents = { target_load = 1.0 } # the default of 0.7 leaves calls without an agent on a busy machine
      rtc    = { use_external_ip = true }
    }
    terminationGracePeriodSeconds = 18000 # calls under way are not cut
  })]
}

resource "helm_release" "voice_agent" {
  name      = "voice-agent"
  namespace = kubernetes_namespace.this.metadata[0].name
  chart     = "${path.module}/../helm/voice-agent"
  timeout   = 1800 # a first start fetches the model

  values = [
    file("${path.module}/../helm/voice-agent/values-production.yaml"),
    yamlencode({
      image   = { registry = var.image_registry, tag = var.image_tag }
      livekit = { url = local.livekit_url, publicUrl = var.livekit_public_url, existingSecret = kubernetes_secret.this.metadata[0].name }
      worker = {
        nodeSelector = { "tts-ops/gpu" = "true" }
        tolerations  = [{ key = "nvidia.com/gpu", operator = "Exists", effect = "NoSchedule" }]
      }
    }),
  ]

  depends_on = [helm_release.nvidia_device_plugin, helm_release.livekit]
}
