"""How many utterances one engine says in real time: measured where it was, else projected from what the card reads and
multiplies, and then called a projection.
"""

from __future__ import annotations

from dataclasses import dataclass

from tts_plugin.engine.model.shapes import REALTIME_05B
from worker.bench.roofline import Ceiling, work

FRAME_S = 3_200 / 24_000  # sound of one step
HEADROOM = 1.3  # what calibration keeps as well
MOST_SLOTS = 512
SOLVER_STEPS = 5
TOKEN_BYTES = 12_200  # of both language models' keys and values, bf16
UTTERANCE_TOKENS = 800  # voice, text and a minute of speech
WEIGHT_BYTES = 1.05e9
FREE_MEMORY = 0.85


@dataclass(frozen=True, slots=True)
class Card:
    """As its maker publishes it: bytes and bf16 operations a second, memory in bytes. A T4 has no bf16."""

    bytes_per_s: float
    flops_per_s: float
    memory_bytes: float


CARDS = {
    "L4": Card(300e9, 121e12, 24e9),
    "A10G": Card(600e9, 70e12, 24e9),
    "L40S": Card(864e9, 362e12, 48e9),
    "A100": Card(2_039e9, 312e12, 80e9),
    "H100": Card(3_350e9, 989e12, 80e9),
}


def projected_slots(card: Card, over_roofline: float) -> int:
    """The largest batch whose step, `over_roofline` times as long as the card's limits allow, leaves HEADROOM."""
    ceiling = Ceiling(card.bytes_per_s, card.flops_per_s)
    by_memory = (card.memory_bytes * FREE_MEMORY - WEIGHT_BYTES) / (TOKEN_BYTES * UTTERANCE_TOKENS)
    slots = 0
    for batch in range(1, min(MOST_SLOTS, int(by_memory)) + 1):
        step = work(REALTIME_05B, batch, solver_steps=SOLVER_STEPS, weight_bytes=2, state_bytes=2)
        if over_roofline * ceiling.seconds(step) * HEADROOM > FRAME_S:
            break
        slots = batch
    return slots
