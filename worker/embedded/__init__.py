"""The `tts-ops models` process: recogniser, small language model and standby voice. Nothing else imports it."""
