"""python scripts/load_test_tts.py --rps 10 --duration 60: what is today `tts-ops load http` with the same options."""

import sys

from worker.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["load", "http"]
    main()
