"""How log lines look, and what never stands in one: keys, join tokens, phone numbers, e-mail addresses.

Transcripts never reach a log call at all; this is the second fence.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import Literal

_SECRETS = re.compile(
    r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"  # JSON web token
    r"|\b(?:sk|pk|dg|APIs?|ttsops)[-_][\w-]{12,}"  # keys of providers, and ours
    r"|(?i:bearer)\s+[\w.~+/=-]{8,}"
    r"|(?i:api[_-]?(?:key|secret)|password|token)[\"']?\s*[=:]\s*[\"']?[^\s\"',}]{6,}"
    r"|[\w.+-]+@[\w-]+\.[\w.-]+"  # e-mail
    r"|\bcall-_[\w+-]+"  # a telephone call's room: its name holds the number that was dialled
    r"|(?<![\w.:-])(?!\d+\.\d+(?![\d.]))\+?\d(?:[ ().-]?\d){8,14}(?![\w.:-])"  # phone number, not a decimal
)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
    "room",  # its name: room_id says which it is
    "participant",
}
_PRIVATE = ("_", "lk.pii.")  # LiveKit marks what callers say, and who they are, with lk.pii.


def configure(process: str, level: str, style: Literal["text", "json"]) -> None:
    """Send every log line of this process to standard error; LOG_LEVEL TRACE is DEBUG with the libraries' own."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(process) if style == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    configure_levels(level)


def configure_levels(level: str) -> None:
    """Who may speak how loudly. In a job process the worker's main process owns the handler."""
    logging.getLogger().setLevel("DEBUG" if level == "TRACE" else level)
    if level != "TRACE":
        for noisy in (
            "asyncio",
            "aiohttp.access",
            "httpx",
            "httpcore",
            "urllib3",
            "uvicorn.access",
            "openai",
            "httpx2",
            "httpcore2",
        ):
            logging.getLogger(noisy).setLevel(logging.WARNING)


def redact(line: str) -> str:
    return _SECRETS.sub("[redacted]", line)


class TextFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        extra = " ".join(f"{k}={v}" for k, v in _extra(record).items())
        return redact(f"{super().format(record)} {extra}".rstrip())


class JsonFormatter(logging.Formatter):
    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return redact(json.dumps(line, default=str, ensure_ascii=False))


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {k: v for k, v in vars(record).items() if k not in _STANDARD and not k.startswith(_PRIVATE)}
