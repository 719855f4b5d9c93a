"""What the batched engine rests on: a row of a batch is what it would be alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

pytest.importorskip("torch", reason="the engine extra (torch) is not installed")

import torch

from tts_plugin.engine.model.dense_cache import DenseCache
from tts_plugin.engine.model.dpm_solver import make_schedule, sample
from tts_plugin.engine.model.network import Network
from tts_plugin.engine.model.random_weights import SMALL, random_voice, random_weights

TOLERANCE = 1e-4  # float32, absolute


@pytest.fixture(scope="module")
def network() -> Network:
    torch.set_num_threads(1)
    return random_weights(replace(SMALL, language=replace(SMALL.language, vocabulary=100)), seed=3)


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_tts_model_rows_of_different_ages_and_voices_equal_themselves_alone(network: Network) -> None:
    lengths = (5, 17, 1, 11)
    cache = DenseCache(SMALL.language, SMALL.tts_layers, len(lengths), 32, noise(1))
    for row, length in enumerate(lengths):
        cache.store(row, random_voice(SMALL, 3, length, seed=row).tts)
    inputs, positions = noise(len(lengths), 1, 64), torch.tensor(lengths)[:, None]
    together = network.tts_model(inputs, positions, cache.at(torch.arange(len(lengths)), positions))
    for row, length in enumerate(lengths):
        alone = DenseCache(SMALL.language, SMALL.tts_layers, 1, 32, noise(1))
        alone.store(0, random_voice(SMALL, 3, length, seed=row).tts)
        at = torch.tensor([[length]])
        single = network.tts_model(inputs[row : row + 1], at, alone.at(torch.zeros(1, dtype=torch.long), at))
        torch.testing.assert_close(together[row], single[0], atol=TOLERANCE, rtol=0)


def test_text_window_in_one_pass_equals_its_ids_one_by_one(network: Network) -> None:
    def read(windows: list[list[int]]) -> torch.Tensor:
        cache = DenseCache(SMALL.language, SMALL.base_layers, 1, 32, noise(1))
        cache.store(0, random_voice(SMALL, 4, 4).base)
        hidden, position = [], 4
        for window in windows:
            at = torch.arange(position, position + len(window))[None]
            position += len(window)
            row = torch.zeros(1, dtype=torch.long)
            hidden.append(network.base_model(network.embed_tokens(torch.tensor([window])), at, cache.at(row, at))[0])
        return torch.cat(hidden)

    torch.testing.assert_close(read([[9, 8, 7, 6, 5]]), read([[9], [8], [7], [6], [5]]), atol=TOLERANCE, rtol=0)


def test_decoder_rows_join_and_leave_by_indexing_the_state(network: Network) -> None:
    decoder, latents = network.decoder, noise(3, 4, 16)
    alone = [decoder(latents[row][None], decoder.initial_state(1))[0][0] for row in range(3)]
    samples = SMALL.samples_per_latent

    first, state = decoder(latents[:2, :2], decoder.initial_state(2))  # rows 0 and 1
    kept = tuple(torch.cat((part[1:], new)) for part, new in zip(state, decoder.initial_state(1), strict=True))
    second, _ = decoder(torch.stack((latents[1, 2:], latents[2, :2])), kept)  # row 0 left, row 2 came
    torch.testing.assert_close(first[0], alone[0][: 2 * samples], atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(torch.cat((first[1], second[0])), alone[1], atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(second[1], alone[2][: 2 * samples], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("solver", ["dpmsolver++", "sde-dpmsolver++"])
def test_sampler_rows_with_their_own_cfg_scale_equal_themselves_alone(network: Network, solver) -> None:
    head, schedule = network.diffusion_head, make_schedule(solver, 5)
    times = head.embed_times(torch.tensor(schedule.timesteps))
    positive, negative, start, steps = noise(3, 64), noise(3, 64, seed=1), noise(3, 16, seed=2), noise(3, 5, 16, seed=3)
    scales = torch.tensor([[1.0], [1.5], [3.0]])
    together = sample(head, schedule, times, positive, negative, scales, start, steps)
    for row in range(3):
        one = slice(row, row + 1)
        scale = float(scales[row])
        single = sample(head, schedule, times, positive[one], negative[one], scale, start[one], steps[one])
        torch.testing.assert_close(together[row], single[0], atol=TOLERANCE, rtol=0)


def test_sde_solver_without_its_noise_is_refused(network: Network) -> None:
    head, schedule = network.diffusion_head, make_schedule("sde-dpmsolver++", 5)
    times = head.embed_times(torch.tensor(schedule.timesteps))
    with pytest.raises(ValueError, match="needs step_noise"):
        sample(head, schedule, times, noise(1, 64), noise(1, 64), 1.5, noise(1, 16))


def test_decoder_state_of_the_real_model_has_139200_numbers_in_34_tensors() -> None:
    from tts_plugin.engine.model.acoustic_decoder import AcousticDecoder
    from tts_plugin.engine.model.random_weights import REALTIME_05B

    with torch.device("meta"):
        shapes = AcousticDecoder(REALTIME_05B).state_shapes
    assert (len(shapes), sum(columns * channels for columns, channels in shapes)) == (34, 139_200)
