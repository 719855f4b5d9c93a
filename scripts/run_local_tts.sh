#!/usr/bin/env bash
# The voice engine alone, on ENGINE_PORT (8001). Today's name: `tts-ops engine`; `make call` starts it with all the rest.
set -euo pipefail
cd "$(dirname "$0")/.."
make --no-print-directory setup
exec .venv/bin/tts-ops engine
