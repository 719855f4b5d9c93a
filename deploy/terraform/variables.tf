variable "name" {
  description = "Name of the cluster and prefix of everything else."
  type        = string
  default     = "voice-agent"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,28}$", var.name))
    error_message = "A name has 2 to 29 characters: small letters, digits and -, a letter first."
  }
}

variable "region" {
  description = "AWS region."
  type        = string
  default     = "eu-central-1"
}

variable "kubernetes_version" {
  description = "Version of EKS; 1.33 is the oldest with native sidecars as a settled feature."
  type        = string
  default     = "1.33"
}

variable "vpc_cidr" {
  description = "Address range of the network that is made."
  type        = string
  default     = "10.60.0.0/16"
}

variable "admin_cidrs" {
  description = "Addresses that may reach the cluster's API."
  type        = list(string)

  validation {
    condition     = !contains(var.admin_cidrs, "0.0.0.0/0")
    error_message = "The cluster's API is not opened to everybody: name your own addresses."
  }
}

variable "gpu_instance_types" {
  description = "Machines with one GPU each; g6 is an L4, g5 an A10G, p5.4xlarge an H100."
  type        = list(string)
  default     = ["g6.2xlarge"]
}

variable "gpu_nodes" {
  description = "GPU nodes at least, at most and to begin with. Two at least: one may be drained while the other speaks."
  type        = object({ min = number, max = number, desired = number })
  default     = { min = 2, max = 10, desired = 2 }

  validation {
    condition     = var.gpu_nodes.min >= 1 && var.gpu_nodes.desired >= var.gpu_nodes.min && var.gpu_nodes.max >= var.gpu_nodes.desired
    error_message = "1 <= min <= desired <= max."
  }
}

variable "cpu_instance_types" {
  description = "Machines for LiveKit, redis, the HTTP service and what watches them."
  type        = list(string)
  default     = ["c7i.xlarge"]
}

variable "image_registry" {
  description = "Where the images of deploy/docker were pushed to, such as an ECR repository prefix."
  type        = string
}

variable "image_tag" {
  description = "Tag of the images."
  type        = string
}

variable "livekit_url" {
  description = "A LiveKit of yours, wss://…; empty: one is installed into the cluster."
  type        = string
  default     = ""

  validation {
    condition     = var.livekit_url == "" || can(regex("^wss?://", var.livekit_url))
    error_message = "livekit_url begins with wss:// or ws://, or is empty."
  }
}

variable "livekit_public_url" {
  description = "LiveKit as browsers reach it, wss://…"
  type        = string
}
