"""Entry of the make targets. Parses on Python 3.6, so that an old Python gets a clear answer."""

import sys

OLDEST, TOO_NEW = (3, 11), (3, 15)


def main(arguments):  # type: ignore[no-untyped-def]
    if not OLDEST <= sys.version_info[:2] < TOO_NEW:
        sys.stderr.write(
            "Python {}.{} cannot run this: Python 3.11 to 3.14 is needed. Install one "
            "(Debian and Ubuntu: apt install python3.11 python3.11-venv; macOS: brew install python@3.13), "
            "then say which: make call PYTHON=python3.11\n".format(*sys.version_info[:2])
        )
        return 1
    from worker.setup.commands import main as run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))  # type: ignore[no-untyped-call]
