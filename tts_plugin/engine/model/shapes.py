"""Shapes that are known by name: the published model's, and a small one's for tests. Knows nothing of torch."""

from __future__ import annotations

from tts_plugin.engine.model.config import DecoderConfig, DiffusionConfig, LanguageConfig, ModelConfig

REALTIME_05B = ModelConfig(  # the shape of microsoft/VibeVoice-Realtime-0.5B
    language=LanguageConfig(896, 4864, 24, 14, 2, 64, 151_936, 8_192, 1e6, 1e-6),
    tts_layers=20,
    latent=64,
    diffusion=DiffusionConfig(4, 2_688, 1e-5, 1_000, 20),
    decoder=DecoderConfig(32, (8, 5, 5, 4, 2, 2), (8, 3, 3, 3, 3, 3, 3), 1e-5),
)
SMALL = ModelConfig(  # runs in milliseconds on a CPU, with the real vocabulary's size and the real samples per latent
    language=LanguageConfig(64, 128, 4, 4, 2, 16, 151_936, 8_192, 1e6, 1e-6),
    tts_layers=3,
    latent=16,
    diffusion=DiffusionConfig(2, 192, 1e-5, 1_000, 20),
    decoder=DecoderConfig(2, (8, 5, 5, 4, 2, 2), (2, 1, 1, 1, 1, 1, 1), 1e-5),
)
