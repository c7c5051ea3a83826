"""All that docs/benchmarks.md shows of this machine, in one go, what is worth most first."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import isa, options, results
from vfx_edge.errors import VfxError
from vfx_edge.files import write_text

STATE = results.UNFINISHED / "all.json"
BOTH, OWN = "both", "own"


class Unfinished(VfxError):
    """Some of it gave no figures."""

    exit_code = 7

    def __init__(self, failed: list[str]) -> None:
        super().__init__(
            f"no figures of {', '.join(failed)}: read above why, mend it and run this again, which "
            "goes on where it was"
        )


@dataclass(frozen=True)
class Script:
    """One command, how it is asked, and about how many minutes it takes on two cores: held to
    AVX2, and with AVX-512 and bf16. brief: asked for less; empty: left out with --quick."""

    name: str
    minutes: tuple[float, float]
    brief: tuple[str, ...] = ()
    brief_minutes: tuple[float, float] = (0.0, 0.0)
    takes: tuple[str, ...] = ()
    """Which of the CTs given it is told of."""


SCRIPTS = (
    Script("speed", (12, 6), ("--repeat", "4"), (4, 2.5), ("--abdomen", "--resample", "--ct")),
    Script("floor", (4, 2.5), ("--repeat", "4"), (2.5, 1.5)),
    Script(
        *("peers", (25, 11)),
        ("--repeat", "4", "--nnunet-patches", "3", "--no-nnunet-fast"),
        (4, 3),
    ),
    Script("precisions", (3, 2), ("--quick", "auto"), (2, 1), ("--ct",)),
    Script("limits", (6, 4), ("--repeat", "3", "--studies", "3"), (3, 2)),
    Script("service", (6, 4), takes=("--ct",)),
    Script("growth", (10, 5)),
    Script("batches", (4, 3)),
)
"""In the order of their worth; each is done for both classes before the next."""
BRIEFLY = ("--abdomen",)
"""Of the CTs that `speed` takes, those that it measures with --quick."""


@dataclass(frozen=True)
class Step:
    """One command for one class of processors."""

    script: Script
    cpu: str
    words: tuple[str, ...]
    minutes: float

    @property
    def title(self) -> str:
        return f"{self.script.name} ({isa.CLASSES[self.cpu]})"


def command(
    cts: options.Cts = None,
    abdomen: Annotated[
        Path | None, typer.Option(help="A CT of an abdomen, for `speed`.", exists=True)
    ] = None,
    resample: Annotated[
        Path | None, typer.Option(help="A CT to resample, for `speed`.", exists=True)
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Fewer runs and scripts; the page says how many there were."),
    ] = False,
    classes: Annotated[
        str,
        typer.Option(
            "--isa",
            metavar="|".join((BOTH, OWN, *isa.HELD)),
            help="As the processor is, held to an older class, or both.",
        ),
    ] = BOTH,
    minutes: Annotated[
        float | None,
        typer.Option(help="Begin nothing that would take longer in all.", show_default="no limit"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done, and how long it takes.")
    ] = False,
) -> None:
    """Everything for docs/benchmarks.md, and the page. What was done is not done again, as long as
    the program is the same: a run that was stopped goes on where it was."""
    places = {
        "--ct": cts or [],
        "--abdomen": [abdomen] if abdomen else [],
        "--resample": [resample] if resample else [],
    }
    steps = _within(_steps(_classes(classes), places, quick), minutes)
    for step in steps:
        results.log(f"about {step.minutes:4.1f} min  {step.title}: {' '.join(step.words)}")
    results.log(f"about {sum(step.minutes for step in steps):4.1f} min in all, on two cores")
    if dry_run:
        return
    if failed := [step.title for step in steps if not _done(step)]:
        raise Unfinished(failed)


def _classes(asked: str) -> list[str]:
    """The older class first: most workstations are of it."""
    own = isa.cpu_class()
    known = {BOTH: list(dict.fromkeys((*isa.HELD, own))), OWN: [own]}
    known |= {name: [name] for name in isa.HELD}
    if asked not in known:
        raise typer.BadParameter(f"--isa {asked} is none of {', '.join(known)}")
    return known[asked]


def _steps(classes: list[str], places: dict[str, list[Path]], quick: bool) -> list[Step]:
    return [
        _step(script, cpu, places, quick)
        for script in SCRIPTS
        if script.brief or not quick
        for cpu in classes
    ]


def _step(script: Script, cpu: str, places: dict[str, list[Path]], quick: bool) -> Step:
    takes = [o for o in script.takes if not quick or script.name != "speed" or o in BRIEFLY]
    words = [word for option in takes for path in places[option] for word in (option, str(path))]
    held = ("--isa", cpu) if cpu != isa.cpu_class() else ()
    asked = script.brief if quick else ()
    times = script.brief_minutes if quick else script.minutes
    minutes = times[0] if cpu == "avx2" else times[1]
    return Step(script, cpu, (script.name, *asked, *words, *held), minutes)


def _within(steps: list[Step], minutes: float | None) -> list[Step]:
    """Those of which there are no figures by this program, as far as they fit."""
    before = _finished()
    kept, left = [], minutes
    for step in steps:
        if list(step.words) in before:
            results.log(f"{step.title}: there is one from an earlier run")
        elif left is not None and step.minutes > left:
            results.log(f"{step.title}: left out, it takes about {step.minutes:g} min")
        else:
            kept.append(step)
            left = None if left is None else left - step.minutes
    return kept


def _done(step: Step) -> bool:
    """Run it, with its own account of what it does; and the page, so that a stopped run has one."""
    begin = time.perf_counter()
    ended = subprocess.run([sys.executable, "-m", "benchmarks", *step.words], check=False)
    results.log(f"{step.title}: took {(time.perf_counter() - begin) / 60:.1f} min")
    if ended.returncode:
        return False
    record = {"program": results.fingerprint(), "done": [*_finished(), list(step.words)]}
    write_text(STATE, json.dumps(record) + "\n")
    return not subprocess.run(
        [sys.executable, "-m", "benchmarks", "render"], check=False
    ).returncode


def _finished() -> list[list[str]]:
    """The words of what this very program has done already."""
    if not STATE.is_file():
        return []
    record = json.loads(STATE.read_text("utf-8"))
    done: list[list[str]] = record["done"] if record["program"] == results.fingerprint() else []
    return done
