"""The face of `livekit.plugins.vibevoice`: what `from livekit.plugins import vibevoice` gives, and its registration.

LiveKit allows a plugin to be registered on the main thread only, so import this there first.
"""

from livekit.agents import Plugin

from tts_plugin import __version__
from tts_plugin.engines import Engine
from tts_plugin.log import logger
from tts_plugin.streams import ChunkedStream, SynthesizeStream
from tts_plugin.tts import TTS

__all__ = ["TTS", "ChunkedStream", "Engine", "SynthesizeStream", "VibeVoicePlugin", "__version__"]

_PACKAGE = "livekit.plugins.vibevoice"


class VibeVoicePlugin(Plugin):
    def __init__(self) -> None:
        super().__init__(_PACKAGE, __version__, _PACKAGE, logger)

    def download_files(self) -> None:
        """The voice is the engine's: an agent image needs no file for it."""
        logger.info("nothing to download: the engine holds the voice, and its embedded voice came with the package")


Plugin.register_plugin(VibeVoicePlugin())
