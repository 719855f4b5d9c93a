"""The whole network: its parts, and the small pieces between them. Holds weights, no state of any utterance.

The loop that joins the parts is the engine's (or reference.py's): text windows and speech steps of different utterances
go through `tts_model` as rows of one batch, since text_embedding and speech_embedding give it the same kind of input.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tts_plugin.engine.model.acoustic_decoder import AcousticDecoder
from tts_plugin.engine.model.config import ModelConfig
from tts_plugin.engine.model.diffusion_head import DiffusionHead
from tts_plugin.engine.model.language_model import LanguageModel
from tts_plugin.engine.model.layers import Embedding, Linear, RMSNorm

TEXT_WINDOW = 5  # token ids read at once
SPEECH_WINDOW = 6  # latents made after each text window
TYPE_SPEECH, TYPE_TEXT = 0, 1
CONNECTOR_EPS = 1e-6


class Network(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.language.hidden
        self.embed_tokens = Embedding(config.language.vocabulary, hidden)
        self.base_model = LanguageModel(config.language, config.base_layers, final_norm=False)
        self.tts_model = LanguageModel(config.language, config.tts_layers, final_norm=True)
        self.input_types = Embedding(2, hidden)
        self.connector = Connector(config.latent, hidden)
        self.diffusion_head = DiffusionHead(config)
        self.decoder = AcousticDecoder(config)
        self.eos = EosClassifier(hidden)
        self.speech_scaling_factor = nn.Parameter(torch.empty(()))
        self.speech_bias_factor = nn.Parameter(torch.empty(()))

    @property
    def device(self) -> torch.device:
        return self.speech_bias_factor.device

    @property
    def dtype(self) -> torch.dtype:
        return self.speech_bias_factor.dtype

    def text_embedding(self, base_hidden: Tensor) -> Tensor:
        """What the TTS model reads of text: base_hidden [B, T, hidden] from base_model."""
        return base_hidden + self.input_types.weight[TYPE_TEXT]

    def speech_embedding(self, latents: Tensor) -> Tensor:
        """What the TTS model reads of its own speech, on both branches: latents [B, latent] → [B, hidden]."""
        embedded: Tensor = self.connector(latents.to(self.dtype))
        return embedded + self.input_types.weight[TYPE_SPEECH]

    def unscaled(self, latents: Tensor) -> Tensor:
        """The decoder's input, from latents as the solver makes them."""
        return latents.to(self.dtype) / self.speech_scaling_factor - self.speech_bias_factor


class Connector(nn.Module):
    """Lifts a latent into the hidden space: latents [..., latent] → [..., hidden]."""

    def __init__(self, latent: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = Linear(latent, hidden)
        self.norm = RMSNorm(hidden, CONNECTOR_EPS)
        self.fc2 = Linear(hidden, hidden)

    def forward(self, latents: Tensor) -> Tensor:
        out: Tensor = self.fc2(self.norm(self.fc1(latents)))
        return out


class EosClassifier(nn.Module):
    """Whether the speech ends with this hidden state: hidden [B, hidden] → logits [B]; above 0 is the end."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.fc1 = Linear(hidden, hidden)
        self.fc2 = Linear(hidden, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self.fc2(functional.relu(self.fc1(hidden)))
        return logits.squeeze(-1)
