"""The VibeVoice streaming network: tensors in, tensors out. Knows nothing of utterances, clocks or sockets."""
