"""How the plugin is found, and what it costs those who do not want it. Each in a fresh process."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run_python(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


def test_importing_the_namespace_package_registers_the_plugin_once() -> None:
    out = run_python(
        "from livekit.plugins import vibevoice\n"
        "import tts_plugin.plugin\n"
        "from livekit.agents import Plugin\n"
        "print([(p.package, p.title, p.version) for p in Plugin.registered_plugins])\n"
        "print(vibevoice.TTS.__module__, vibevoice.__version__)\n"
    )
    registered, face = out.splitlines()
    name = "'livekit.plugins.vibevoice'"
    assert registered == f"[({name}, {name}, '{face.split()[1]}')]"
    assert face.split()[0] == "tts_plugin.tts"


def test_livekits_download_command_finds_the_plugin_and_it_succeeds() -> None:
    out = run_python(
        "import logging, sys\n"
        "logging.basicConfig(level=logging.INFO, stream=sys.stdout)\n"
        "from livekit.agents.plugin import Plugin\n"
        "from livekit.agents.__main__ import _discover_and_import_plugins\n"
        "assert 'livekit.plugins.vibevoice' in _discover_and_import_plugins()\n"
        "[p.download_files() for p in Plugin.registered_plugins if p.package == 'livekit.plugins.vibevoice']\n"
    )
    assert "nothing to download" in out


@pytest.mark.parametrize("module", ["tts_plugin", "tts_plugin.client", "tts_plugin.engine.backend"])
def test_the_parts_below_the_plugin_need_neither_livekit_nor_torch(module: str) -> None:
    out = run_python(f"import sys, {module}; print([m for m in ('livekit.agents', 'torch') if m in sys.modules])")
    assert out.strip() == "[]"


def test_the_plugin_needs_no_torch_and_no_server_library() -> None:
    heavy = ("torch", "transformers", "fastapi", "uvicorn", "onnxruntime", "hibari")
    out = run_python(
        f"import sys; before = set(sys.modules); import livekit.agents; theirs = set(sys.modules)\n"
        f"import livekit.plugins.vibevoice; print([m for m in {heavy} if m in set(sys.modules) - theirs])"
    )
    assert out.strip() == "[]"
