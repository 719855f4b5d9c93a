"""Each part alone, fed with what the reference fed it: where a difference begins, not only that there is one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("torch", reason="the engine extra (torch) is not installed")

import torch
from golden_cases import (
    AUDIO_TOLERANCE,
    BFLOAT16_TOLERANCE,
    HIDDEN_TOLERANCE,
    Case,
    difference,
    find_cases,
    relative,
)
from torch import Tensor

from tts_plugin.engine.model.dense_cache import DenseCache
from tts_plugin.engine.model.dpm_solver import sample

each_case = pytest.mark.parametrize("case", find_cases(), ids=lambda case: case.path.stem)


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def agrees(case: Case, ours: Tensor, recorded: Tensor, tolerance: float = HIDDEN_TOLERANCE) -> bool:
    if case.dtype == torch.float32:
        return difference(ours, recorded) <= tolerance
    return relative(ours, recorded) <= BFLOAT16_TOLERANCE


@each_case
def test_golden_head_velocities(case: Case) -> None:
    head, schedule, recorded = case.network.diffusion_head, case.schedule, case.recorded
    debug = recorded["diffusion_debug"]  # [latent, step, (x, conditioned, unconditioned), size]
    times = head.embed_times(torch.tensor(schedule.timesteps))
    for condition, which in (("condition_pos", 1), ("condition_neg", 2)):
        modulation = head.modulate(recorded[condition][: len(debug)].to(case.dtype), times)
        for step in range(len(schedule.steps)):
            velocity = head(debug[:, step, 0].to(case.dtype), modulation.at(step))
            assert agrees(case, velocity, debug[:, step, which])


@each_case
def test_golden_sampler_solves_all_latents_as_rows_of_one_batch(case: Case) -> None:
    head, recorded = case.network.diffusion_head, case.recorded
    latents = sample(
        head,
        case.schedule,
        head.embed_times(torch.tensor(case.schedule.timesteps)),
        recorded["condition_pos"].to(case.dtype),
        recorded["condition_neg"].to(case.dtype),
        torch.full((len(recorded["noise_init"]), 1), case.inputs["cfg_scale"]),
        recorded["noise_init"],
        recorded.get("noise_steps"),
    )
    assert agrees(case, latents, recorded["latents"])


@each_case
def test_golden_latents_are_unscaled_and_embedded(case: Case) -> None:
    recorded, latents = case.recorded, case.recorded["latents"].to(case.dtype)
    assert agrees(case, case.network.unscaled(latents), recorded["latents_scaled"])
    assert agrees(case, case.network.connector(latents), recorded["acoustic_embeds"])


@each_case
def test_golden_decoder_one_latent_at_a_time(case: Case) -> None:
    decoder, recorded = case.network.decoder, case.recorded
    state, frames = decoder.initial_state(1), []
    for latent in recorded["latents_scaled"].to(case.dtype):
        audio, state = decoder(latent[None, None], state)
        frames.append(audio[0])
    assert agrees(case, torch.stack(frames), recorded["audio_frames"], AUDIO_TOLERANCE)


@each_case
def test_golden_decoder_all_latents_at_once(case: Case) -> None:
    decoder, recorded = case.network.decoder, case.recorded
    audio, _ = decoder(recorded["latents_scaled"].to(case.dtype)[None], decoder.initial_state(1))
    assert agrees(case, audio[0], recorded["audio_frames"].flatten(), AUDIO_TOLERANCE)


@each_case
def test_golden_base_model_reads_the_text(case: Case) -> None:
    network, voice, config = case.network, case.voice, case.network.config
    calls = [call for call in case.inputs["trace"] if call["op"] == "lm"]
    cache = DenseCache(config.language, config.base_layers, 1, calls[-1]["positions"][-1] + 1, voice.base.keys)
    cache.store(0, voice.base)
    hidden = []
    for call in calls:
        positions = torch.tensor([call["positions"]])
        attention = cache.at(torch.zeros(1, dtype=torch.long), positions)
        hidden.append(network.base_model(network.embed_tokens(torch.tensor([call["tokens"]])), positions, attention)[0])
    assert agrees(case, torch.cat(hidden), case.recorded["lm_hidden"])


@each_case
def test_golden_tts_model_reads_text_and_its_own_speech(case: Case) -> None:
    text, positive, negative = follow_trace(case)
    assert agrees(case, text, case.recorded["tts_text_hidden"])
    assert agrees(case, positive, case.recorded["tts_pos_hidden"])
    assert agrees(case, negative, case.recorded["tts_neg_hidden"])
    # its own hidden states, so that in bfloat16 the classifier is judged on what it is given
    logits = case.network.eos(case.recorded["tts_pos_hidden"].to(case.dtype))
    assert agrees(case, logits, case.recorded["eos_logits"])


def follow_trace(case: Case) -> tuple[Tensor, Tensor, Tensor]:
    """The TTS model's hidden states for the recorded inputs, call by call: text, positive, negative."""
    network, voice, config, recorded = case.network, case.voice, case.network.config, case.recorded
    calls = [call for call in case.inputs["trace"] if call["op"].startswith("tts")]
    longest = max(call["positions"][-1] for call in calls) + 1
    cache = DenseCache(config.language, config.tts_layers, 2, longest, voice.tts.keys)
    cache.store(0, voice.tts)
    cache.store(1, voice.negative)
    text_inputs = iter(network.text_embedding(recorded["lm_hidden"].to(case.dtype)))
    speech_inputs = recorded["acoustic_embeds"].to(case.dtype) + network.input_types.weight[0]
    heard: dict[str, list[Tensor]] = {"tts_text": [], "tts_pos": [], "tts_neg": []}
    for call in calls:
        op, positions = call["op"], torch.tensor([call["positions"]])
        rows = torch.tensor([int(op == "tts_neg")])
        if op == "tts_text":
            inputs = torch.stack([next(text_inputs) for _ in call["positions"]])
        else:
            inputs = speech_inputs[len(heard[op])][None]
        heard[op] += network.tts_model(inputs[None], positions, cache.at(rows, positions))[0]
    text, positive, negative = (torch.stack(heard[op]) for op in ("tts_text", "tts_pos", "tts_neg"))
    return text, positive, negative
