"""The golden cases and the bench of the batched engine are shared with the torch back-end's tests."""

import sys
from pathlib import Path

for folder in ("model", "batch"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))
