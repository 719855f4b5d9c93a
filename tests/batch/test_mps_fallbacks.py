"""Operators that Apple's GPU lacks: each is named once, and other warnings stay what they are."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings

import pytest

pytest.importorskip("torch", reason="the engine extra (torch) is not installed")

import torch

from tts_plugin.engine.mps import Fallbacks

TOLD = (
    "The operator 'aten::{}' is not currently supported on the MPS backend and will fall back to run on the CPU."
    " This may have performance implications."
)


def names(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage().split()[0] for record in caplog.records if record.name == "tts_plugin.engine.mps"]


def test_each_operator_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    fallbacks = Fallbacks()
    with caplog.at_level(logging.WARNING):
        for step in range(4):
            with fallbacks.watch():
                warnings.warn(TOLD.format("erfinv"), stacklevel=1)
                if step:
                    warnings.warn(TOLD.format("linalg_qr.out"), stacklevel=1)
    assert names(caplog) == ["aten::erfinv", "aten::linalg_qr.out"]


def test_torchs_own_once_only_warnings_are_told_again_while_it_is_watched() -> None:
    seen = []
    fallbacks = Fallbacks()
    assert not torch.is_warn_always_enabled()
    with fallbacks.watch():
        seen.append(torch.is_warn_always_enabled())
    assert seen == [True]
    assert not torch.is_warn_always_enabled()


def test_other_warnings_pass() -> None:
    with pytest.warns(UserWarning, match="something else"), Fallbacks().watch():
        warnings.warn("something else", stacklevel=1)


def test_after_the_first_steps_nothing_is_watched(caplog: pytest.LogCaptureFixture) -> None:
    fallbacks = Fallbacks()
    for _ in range(32):
        with fallbacks.watch():
            pass
    with pytest.warns(UserWarning, match="erfinv"), fallbacks.watch():
        warnings.warn(TOLD.format("erfinv"), stacklevel=1)
    assert not names(caplog)


@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("0", "0")])
def test_falling_back_is_allowed_before_torch_is_there(given: str | None, expected: str) -> None:
    script = "import sys, tts_plugin.engine.device, os; print('torch' in sys.modules, os.environ[sys.argv[1]])"
    name = "PYTORCH_ENABLE_MPS_FALLBACK"
    env = {key: value for key, value in os.environ.items() if key != name} | ({name: given} if given else {})
    out = subprocess.run([sys.executable, "-c", script, name], env=env, capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", expected]
