"""The engine: turns text that is still being written into audio. Knows neither LiveKit nor HTTP."""
