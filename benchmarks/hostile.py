"""`hostile`: every case of tests/hostile/corpus through the whole command, each in a process of its
own: its exit code and sentence, what it made outside --out, its time, the memory of its tree."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import psutil
import typer

from benchmarks.results import ROOT, UNFINISHED, log
from tests.hostile.corpus import CASES
from tests.hostile.corpus.archives import OUTSIDE
from tests.hostile.corpus.case import Base, Case, Reads, Refused, make_base
from tests.hostile.judge import Came, sentence_faults, wrong
from tests.hostile.worker import listing, make, words
from vfx_edge.backends.cache import CACHE_VARIABLE
from vfx_edge.errors import VfxError

HANG_S = 60.0
MOST_MIB = 1536
LOOK_S = 0.02
CODES = frozenset({0, 2, 3, 4, 5, 6})
WITHOUT_ROOT_POWERS = (
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
)


class Broken(VfxError):
    """A hostile input got through."""

    exit_code = 7

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} hostile cases did not end as they have to: mend what they found")


@dataclass(frozen=True)
class Run:
    """How a command ended. outside: what it made but for --out. hung: ended after a minute."""

    code: int
    said: str
    seconds: float
    peak_mib: float
    outside: tuple[str, ...]
    hung: bool

    @property
    def died(self) -> bool:
        """Ended by a signal, without having hung."""
        return self.code < 0 and not self.hung

    @property
    def faults(self) -> list[str]:
        """What no run may do, whatever it was given."""
        found = []
        if "Traceback" in self.said:
            found.append(f"traceback: {self.said[-300:]}")
        if self.hung:
            found.append(f"no end within {HANG_S:.0f} s")
        elif self.code not in CODES:
            found.append(f"exit code {self.code}")
        if self.outside:
            found.append(f"made outside: {', '.join(self.outside[:3])}")
        if self.peak_mib > MOST_MIB:
            found.append(f"{self.peak_mib:.0f} MiB")
        return found


def command(
    only: Annotated[str, typer.Option(help="Cases whose kind/name holds this.")] = "",
    jobs: Annotated[int, typer.Option(min=1, help="How many at once.")] = 1,
) -> None:
    """Every hostile case through `vfx-edge`: deaths, hangs, tracebacks, files outside, memory."""
    chosen = [case for title, case in CASES.items() if only in title]
    UNFINISHED.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=UNFINISHED) as name:
        folder = Path(name)
        base = make_base(folder / "base" / "ct")
        runs = _all(chosen, base, folder, jobs)
    _tell(runs)
    bad = [(case, faults) for case, _, faults in runs if faults]
    for case, faults in bad:
        print(f"{case.title}: {'; '.join(faults)}")
    if bad:
        raise Broken(len(bad))


Judged = tuple[Case, Run, list[str]]
_one_makes = threading.Lock()
"""The makers of inputs set tempfile's folder, which is the whole process'."""


def _all(cases: Sequence[Case], base: Base, folder: Path, jobs: int) -> list[Judged]:
    from concurrent.futures import ThreadPoolExecutor

    assert base.scan.image.values.any()  # once, before the threads
    made = 0

    def one(case: Case) -> Judged:
        nonlocal made
        made += 1
        if made % 50 == 0:
            log(f"hostile: {made} of {len(cases)}")
        return judged(case, base, folder)

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(one, cases))


def judged(case: Case, base: Base, folder: Path) -> Judged:
    """A case through the command, and what is wrong with how it ended."""
    root = Path(tempfile.mkdtemp(dir=folder))
    try:
        with _one_makes:
            path = make(case, base, root / "case")
        run = run_command(_words(case, base, path, root), root, case.without_root)
        return case, run, run.faults + _wrong(case, run, base)
    finally:
        subprocess.run(["chmod", "-R", "u+rwX", str(root)], check=False, capture_output=True)
        shutil.rmtree(root, ignore_errors=True)


def _words(case: Case, base: Base, path: Path, root: Path) -> list[str]:
    out = ["--out", str(root / "out"), "--outputs", "json"]
    match case.how:
        case "mask":
            return ["run", str(base.folder), "--segmentation", str(path), *out]
        case "model":
            return ["run", str(base.folder), "--model", str(path), *out]
        case "usage":
            return words(case, base, root / "case")
    return ["run", "--json", *out, "--", str(path)]


def _wrong(case: Case, run: Run, base: Base) -> list[str]:
    """A case that is read may still hold no spine, or none of its levels, that could be found: of
    that, other tests speak; here counts that it was read."""
    reads = any(isinstance(outcome, Reads) for outcome in case.outcomes)
    if run.code == 0 and reads:
        return []
    sentence = run.said.strip().splitlines()[-1] if run.said.strip() else ""
    sentence = sentence.removeprefix("vfx-edge: ")
    if run.code == 3 and reads and ("spine" in sentence or "no vertebra" in sentence):
        return sentence_faults(sentence)
    refusing = [outcome for outcome in case.outcomes if isinstance(outcome, Refused)]
    if not refusing:
        return [f"exit code {run.code}: {sentence[:300]}"]
    return wrong(case, Came(run.code, sentence), base.scan)


def run_command(given: list[str], root: Path, without_root: bool) -> Run:
    """`vfx-edge GIVEN` with everything it could write to below `root`."""
    for name in ("cwd", "home", "tmp"):
        (root / name).mkdir()
    before = listing(root)
    errors = (root.parent / f"{root.name}.stderr").open("w+b")
    began = time.monotonic()
    prefix = WITHOUT_ROOT_POWERS if without_root and os.geteuid() == 0 else ()
    with (
        errors,
        subprocess.Popen(
            [*prefix, sys.executable, "-m", "vfx_edge", *given],
            cwd=root / "cwd",
            env=_environment(root),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        ) as process,
    ):
        peak, hung = _watched(process, began)
        errors.seek(0)
        said = errors.read().decode("utf-8", "replace")
    Path(errors.name).unlink()
    made = {path for path in listing(root) - before if not path.startswith(f"{root}/out")}
    outside = [*sorted(made), *(name for name in (OUTSIDE,) if os.path.lexists(name))]
    return Run(process.returncode, said, time.monotonic() - began, peak, tuple(outside), hung)


def _environment(root: Path) -> dict[str, str]:
    homes = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
    return {
        **os.environ,
        **dict.fromkeys(homes, str(root / "home")),
        "TMPDIR": str(root / "tmp"),
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        CACHE_VARIABLE: str(UNFINISHED / "cache"),
    }


def _watched(process: "subprocess.Popen[bytes]", began: float) -> tuple[float, bool]:
    """(peak MiB of the process and its children together, whether it had to be ended)."""
    peak = 0.0
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        peak = max(peak, _tree_mib(watched))
        if time.monotonic() - began > HANG_S:
            for child in watched.children(recursive=True):
                child.kill()
            process.kill()
            process.wait()
            return peak, True
        time.sleep(LOOK_S)
    return peak, False


def _tree_mib(watched: psutil.Process) -> float:
    total = 0
    try:
        for one in (watched, *watched.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.Error:
        return 0.0  # it has just ended
    return total / 2**20


def _tell(runs: Sequence[Judged]) -> None:
    print(f"{len(runs)} cases")
    for title, count in (
        ("tracebacks", sum("Traceback" in run.said for _, run, _ in runs)),
        ("deaths", sum(run.died for _, run, _ in runs)),
        ("hangs", sum(run.hung for _, run, _ in runs)),
        ("with files outside --out", sum(bool(run.outside) for _, run, _ in runs)),
        ("wrong outcomes", sum(bool(faults) for *_, faults in runs)),
    ):
        print(f"{title:26} {count}")
    case, run, _ = max(runs, key=lambda one: one[1].peak_mib)
    print(f"{'peak memory, of the tree':26} {run.peak_mib:.0f} MiB ({case.title})")
    case, run, _ = max(runs, key=lambda one: one[1].seconds)
    print(f"{'longest':26} {run.seconds:.0f} s ({case.title})")
