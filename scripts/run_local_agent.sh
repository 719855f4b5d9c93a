#!/usr/bin/env bash
# Everything but the engine: LiveKit, models, worker, HTTP service. The engine is the one of run_local_tts.sh, or ENGINE_URL.
set -euo pipefail
cd "$(dirname "$0")/.."
make --no-print-directory setup
export ENGINE_URL="${ENGINE_URL:-http://127.0.0.1:${ENGINE_PORT:-8001}}"
exec .venv/bin/tts-ops dev
