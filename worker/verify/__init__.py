"""`tts-ops verify`: is what this installation says right? One command for whoever owns the weights."""
