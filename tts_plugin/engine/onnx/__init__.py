"""VibeVoice on a CPU without torch: the network as ONNX graphs, built from the checkpoint and run by ONNX Runtime."""
