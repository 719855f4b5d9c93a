from tts_plugin.plugin import *  # noqa: F403
