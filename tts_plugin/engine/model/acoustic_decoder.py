"""The acoustic decoder: latents in, samples out, a few columns of the past carried from call to call.

Written channels-last, with every transposed convolution as one matrix product: its kernel is twice its stride, so it
needs one column of the past (the reference keeps and recomputes a whole kernel's). The state is a flat tuple of tensors
with a row per utterance, so joining and leaving a batch is indexing. Zeros mean a fresh start.
Source: VibeVoice's modular_vibevoice_tokenizer.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tts_plugin.engine.model.config import ModelConfig
from tts_plugin.engine.model.layers import Linear, RMSNorm

KERNEL = 7  # of every convolution that does not change the rate
PAST = KERNEL - 1
State = tuple[Tensor, ...]


class AcousticDecoder(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        decoder, channels = config.decoder, config.decoder.channels
        self.stem = CausalConv(config.latent, channels[0])
        self.stages = nn.ModuleList(
            nn.ModuleList(Block(width, decoder.norm_eps) for _ in range(depth))
            for width, depth in zip(channels, decoder.depths, strict=True)
        )
        self.upsamplers = nn.ModuleList(
            Upsampler(wide, narrow, stride)
            for wide, narrow, stride in zip(channels, channels[1:], decoder.strides, strict=False)
        )
        self.head = CausalConv(channels[-1], 1)
        self.state_shapes = _state_shapes(config)

    def initial_state(self, rows: int) -> State:
        """The state of utterances that have not begun: zeros, on the weights' device and in their dtype."""
        like = self.head.bias
        return tuple(like.new_zeros((rows, *shape)) for shape in self.state_shapes)

    def forward(self, latents: Tensor, state: State) -> tuple[Tensor, State]:
        """latents [B, T, latent], unscaled; returns samples [B, T * samples_per_latent] (may exceed ±1) and state."""
        past, after = iter(state), list[Tensor]()
        x = self.stem(latents, next(past), after)
        for index, stage in enumerate(self.stages):
            if index:
                x = self.upsamplers[index - 1](x, next(past), after)
            for block in stage:  # type: ignore[attr-defined]  # a ModuleList is iterable, its type is not
                x = block(x, next(past), after)
        samples: Tensor = self.head(x, next(past), after)
        return samples.squeeze(-1), tuple(after)


class CausalConv(nn.Module):
    """A convolution of kernel 7 over time, dense or in each channel alone; weight [out, in / groups, 7]."""

    def __init__(self, inputs: int, outputs: int, groups: int = 1) -> None:
        super().__init__()
        self.groups = groups
        self.weight = nn.Parameter(torch.empty(outputs, inputs // groups, KERNEL))
        self.bias = nn.Parameter(torch.empty(outputs))

    def forward(self, x: Tensor, past: Tensor, after: list[Tensor]) -> Tensor:
        window = torch.cat((past, x), dim=1)  # [B, 6 + T, in]
        after.append(window[:, -PAST:])
        return functional.conv1d(window.transpose(1, 2), self.weight, self.bias, groups=self.groups).transpose(1, 2)


class Upsampler(nn.Module):
    """A transposed convolution of kernel 2 * stride; weight [stride * out, 2 * in]: this column, the one before."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.weight = nn.Parameter(torch.empty(stride * outputs, 2 * inputs))
        self.bias = nn.Parameter(torch.empty(outputs))

    def forward(self, x: Tensor, past: Tensor, after: list[Tensor]) -> Tensor:
        window = torch.cat((past, x), dim=1)
        after.append(window[:, -1:])
        spread = functional.linear(torch.cat((x, window[:, :-1]), dim=-1), self.weight)  # [B, T, stride * out]
        return spread.reshape(len(x), -1, self.outputs) + self.bias  # [B, T * stride, out]


class Block(nn.Module):
    """Depthwise convolution, then a feed-forward, each normalised before and scaled by a learned gamma after."""

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.norm = RMSNorm(channels, eps)
        self.mixer = CausalConv(channels, channels, groups=channels)
        self.gamma = nn.Parameter(torch.empty(channels))
        self.ffn_norm = RMSNorm(channels, eps)
        self.linear1 = Linear(channels, 4 * channels)
        self.linear2 = Linear(4 * channels, channels)
        self.ffn_gamma = nn.Parameter(torch.empty(channels))

    def forward(self, x: Tensor, past: Tensor, after: list[Tensor]) -> Tensor:
        x = x + self.mixer(self.norm(x), past, after) * self.gamma
        wide = functional.gelu(self.linear1(self.ffn_norm(x)))
        out: Tensor = x + self.linear2(wide) * self.ffn_gamma
        return out


def _state_shapes(config: ModelConfig) -> tuple[tuple[int, int], ...]:
    """Per convolution, in the order of the forward pass: columns of the past, channels."""
    shapes = [(PAST, config.latent)]
    channels = config.decoder.channels
    for stage, depth in enumerate(config.decoder.depths):
        if stage:
            shapes.append((1, channels[stage - 1]))
        shapes += [(PAST, channels[stage])] * depth
    return (*shapes, (PAST, channels[-1]))
