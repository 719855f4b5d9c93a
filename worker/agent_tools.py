"""What an agent may do beside talking, as its `agent.yaml` allows it: the `tools` and `phone` sections."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

ToolName = Literal["hang_up", "transfer", "collect_digits", "send_digits"]
Number = Annotated[str, Field(pattern=r"^(tel:)?\+[1-9]\d{3,14}$|^sip:[^\s@]+@[^\s@]+$", repr=False)]


class Target(BaseModel):
    """Where a call can be transferred to. Only `name` and `about` are told to the language model."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str = Field(pattern=r"^[A-Za-z0-9_ -]{1,40}$")
    number: Number
    about: str = Field("", max_length=200)
    mode: Literal["cold", "warm"] = "cold"


class Tools(BaseModel):
    """`hang_up` None: on telephone calls only."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    hang_up: bool | None = None
    collect_digits: bool = False
    send_digits: bool = False
    transfer: Annotated[tuple[Target, ...], Field(max_length=20)] = ()


class Phone(BaseModel):
    """What a call that we make does when a machine answers, and how keys are read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    voicemail: Literal["ignore", "hang_up", "leave_message"] = "ignore"
    message: str = Field("", max_length=1000)
    keys_pause_s: float = Field(2.5, ge=0.5, le=30)
