"""`python -m tests.fuzz`: one harness, or all in turn."""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from tests.fuzz.campaign import ROOT, Keeping, Tally, read_state, run, write_state

NAMES = (
    *("dicom-folder", "dicom-file", "stream", "nifti", "zip", "mask", "names", "manifest"),
    *("settings", "association"),
)
ROUND_S = 60
"""All harnesses in turn, so long each, until the time is over."""


def main() -> int:
    """The number of findings decides the exit code."""
    asked = _parser().parse_args()
    try:
        import atheris  # noqa: F401
    except ImportError:
        print("fuzz: skipped, as atheris is not installed: pip install -e '.[peers]'")
        return 0
    tallies = read_state(asked.state)
    keeping = Keeping(asked.keep)
    names = NAMES if asked.name == "all" else (asked.name,)
    total_s = int(asked.minutes * 60) if asked.minutes else asked.seconds * len(names)
    left, telling = total_s, Lock()
    for name in names:
        tallies.setdefault(name, Tally())
    while asked.runs or left > 0:
        seconds = 0 if asked.runs else max(1, min(asked.round, total_s // len(names), left))

        def turn(name: str, seconds: int = seconds) -> None:
            tally = tallies[name]
            run(name, tally, keeping, seconds=seconds, runs=asked.runs)
            with telling:
                write_state(asked.state, tallies)
                _tell(name, tally)

        with ThreadPoolExecutor(asked.at_once) as pool:
            list(pool.map(turn, names))
        left -= seconds * len(names)
        if asked.runs:
            break
    found = sum(len(tally.findings) + tally.deaths for tally in tallies.values())
    total = sum(tally.executions for tally in tallies.values())
    print(f"{total} executions, {found} findings")
    return 1 if found else 0


def _tell(name: str, tally: Tally) -> None:
    print(
        f"{name:14} {tally.executions:>10} executions, {tally.seconds:7.0f} s, "
        f"{tally.peak_mib:>5} MiB, {tally.deaths} deaths, {len(tally.findings)} findings",
        flush=True,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__)
    parser.add_argument("name", choices=("all", *NAMES))
    parser.add_argument("--seconds", type=int, default=60, help="of each harness")
    parser.add_argument("--runs", type=int, default=0, help="executions instead of a time")
    parser.add_argument("--minutes", type=float, default=0, help="of all harnesses together")
    parser.add_argument("--round", type=int, default=ROUND_S, help="seconds of a turn")
    parser.add_argument("--at-once", type=int, default=1, help="harnesses, each a process")
    parser.add_argument("--state", type=Path, help="JSON that adds up all runs")
    parser.add_argument(
        "--keep", type=Path, default=ROOT / "build" / "fuzz", help="corpus and findings"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
