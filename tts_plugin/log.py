"""The logger that LiveKit's users know the plugin by."""

import logging

logger = logging.getLogger("livekit.plugins.vibevoice")
