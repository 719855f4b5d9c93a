output "cluster" {
  description = "Name of the cluster."
  value       = aws_eks_cluster.this.name
}

output "kubeconfig" {
  description = "The command that lets kubectl reach it."
  value       = "aws eks update-kubeconfig --region ${var.region} --name ${aws_eks_cluster.this.name}"
}

output "livekit_api_key" {
  description = "Name of LiveKit's key pair; its secret is in the Kubernetes secret voice-agent."
  value       = kubernetes_secret.this.data["LIVEKIT_API_KEY"]
  sensitive   = true
}
