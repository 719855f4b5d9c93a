"""livekit-sip, the bridge to telephones: the one on PATH, else built at a pinned version. It needs a C compiler."""

from __future__ import annotations

from worker.setup.go_program import GoProgram

PROGRAM = GoProgram(
    name="livekit-sip",
    package="github.com/livekit/sip/cmd/livekit-sip",
    module="github.com/livekit/sip",
    version="1.0.0",  # the newest that the module index serves
    oldest=(0, 0),  # it tells 0.0.1 of every release
    by_require=True,
    cgo=True,
    unsummed="github.com/livekit/*",
)
LIBRARIES = ("opus", "opusfile", "soxr")  # pkg-config names of what it is linked with
DEBIAN = ("gcc", "libc6-dev", "pkg-config", "libopus-dev", "libopusfile-dev", "libsoxr-dev")
