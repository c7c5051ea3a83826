"""Runs harnesses, counts their executions, keeps what they find."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.fuzz.target import IN_MEMORY

ROOT = Path(__file__).resolve().parents[2]
HANG_S, MOST_MIB = 60, 1536
_DONE = re.compile(r"stat::number_of_executed_units:\s+(\d+)|^#(\d+)\s", re.MULTILINE)
_PEAK = re.compile(r"stat::peak_rss_mb:\s+(\d+)")


@dataclass
class Tally:
    """Of one harness, over all its runs. findings: names of their files."""

    executions: int = 0
    seconds: float = 0.0
    peak_mib: int = 0
    deaths: int = 0
    findings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Keeping:
    """Where inputs are kept from run to run, and findings."""

    folder: Path

    def of(self, kind: str, name: str) -> Path:
        """A folder of a harness."""
        path = self.folder / kind / name
        path.mkdir(parents=True, exist_ok=True)
        return path


def run(name: str, tally: Tally, keeping: Keeping, *, seconds: int = 0, runs: int = 0) -> None:
    """One harness for so long, or so many executions; started anew after what ended it."""
    until = time.monotonic() + seconds
    left = runs
    while True:
        began = time.monotonic()
        limit = [f"-max_total_time={max(1, int(until - began))}"] if seconds else [f"-runs={left}"]
        done, code = _started(name, keeping, limit, tally)
        tally.executions += done
        tally.seconds += time.monotonic() - began
        left -= done
        if (
            code == 0
            or done == 0
            or (seconds and time.monotonic() >= until)
            or (runs and left <= 0)
        ):
            return


def _started(name: str, keeping: Keeping, limit: list[str], tally: Tally) -> tuple[int, int]:
    """(executions, exit code) of one process."""
    findings = keeping.of("findings", name)
    before = set(os.listdir(findings))
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tests.fuzz.child", name),
                *(str(keeping.of("corpus", name)), str(findings), *limit),
                *(f"-timeout={HANG_S}", f"-rss_limit_mb={MOST_MIB}", "-print_final_stats=1"),
                f"-artifact_prefix={findings}/",
            ],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": scratch, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=False,
        )
    said = done.stderr.decode("utf-8", "replace")
    counts = [int(a or b) for a, b in _DONE.findall(said)]
    tally.peak_mib = max([tally.peak_mib, *map(int, _PEAK.findall(said))])
    if done.returncode:
        tally.deaths += 1
        (findings / f"death-{int(time.time())}.txt").write_text(said[-20_000:])
    tally.findings = sorted({*tally.findings, *(set(os.listdir(findings)) - before)})
    _sweep(Path(scratch).name)
    return max(counts, default=0), done.returncode


def _sweep(scratch: str) -> None:
    """What a process that was ended left in memory."""
    for left in Path("/dev/shm").glob(f"{IN_MEMORY}{scratch}-*"):
        shutil.rmtree(left, ignore_errors=True)


def read_state(path: Path | None) -> dict[str, Tally]:
    """What earlier runs counted."""
    if path is None or not path.is_file():
        return {}
    return {name: Tally(**value) for name, value in json.loads(path.read_text()).items()}


def write_state(path: Path | None, tallies: dict[str, Tally]) -> None:
    """What all runs counted."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({name: asdict(t) for name, t in tallies.items()}, indent=1))
