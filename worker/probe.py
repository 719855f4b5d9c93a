"""`python -m worker.probe URL …`: 0 when one of them answers 200. The health check of images, which have no curl."""

from __future__ import annotations

import sys
import urllib.request

TIMEOUT_S = 4.0


def is_well(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the image's own address
            return bool(answer.status == 200)
    except (OSError, ValueError):  # HTTPError and URLError are OSErrors
        return False


if __name__ == "__main__":
    sys.exit(0 if any(is_well(url) for url in sys.argv[1:]) else 1)
