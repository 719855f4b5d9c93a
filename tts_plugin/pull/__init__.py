"""`tts-ops pull`: fetches VibeVoice's weights, tokenizer and voices, and verifies every byte. Needs no torch."""
