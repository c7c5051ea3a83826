"""`vfx-edge evaluate --reader`: a person reads the cases, without and with the program's answer."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vfx_edge.cli import parse
from vfx_edge.cli.show import tell

if TYPE_CHECKING:
    from vfx_edge.reading.case import Case
    from vfx_edge.reading.session import Session
    from vfx_edge.scoring.readings import Readings
    from vfx_edge.scoring.run import Evaluated, Wanted

NEEDED = ("starlette", "uvicorn")
_NAME = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*")
_TAKEN = re.compile(r".*_(?:aided|\d+)|\d+")
LONGEST = 40

Reader = Annotated[
    str | None,
    typer.Option(
        "--reader",
        metavar="NAME",
        help="Have a person read the cases on a page of this machine, blinded and in random order: "
        "each without the program's answer, then with it. Stopped or killed, the same command "
        "goes on from there. Needs the extra service.",
        show_default=False,
    ),
]
ReadingFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--readings",
        metavar="FILE",
        help="What readers said so far: a file of OUT/readings, or such a folder. Repeatable.",
        show_default=False,
        readable=False,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        "--reader-seed",
        metavar="N",
        min=0,
        max=2**31 - 1,
        help="With --reader: the seed of the random order.",
        show_default="drawn, and kept with each answer",
    ),
]
Port = Annotated[
    int,
    typer.Option(
        "--port",
        min=0,
        max=65535,
        help="With --reader: the port of the page on 127.0.0.1.",
        show_default="any that is free",
    ),
]
Language = Annotated[
    str,
    typer.Option(
        "--language", metavar="|".join(parse.LANGUAGES), help="With --reader: of its page."
    ),
]


@dataclass(frozen=True)
class Asked:
    """What the options ask for. reader: "" for nobody."""

    reader: str
    files: tuple[Path, ...]
    seed: int | None
    port: int
    language: str


def asked(
    name: str | None, files: list[Path] | None, seed: int | None, port: int, language: str
) -> Asked:
    """BadParameter, ServiceUnusable where the extra is not installed, or what `read_readings`
    raises; before anything runs."""
    parse.one_of(language, parse.LANGUAGES, "language of the page")
    if name is not None:
        _check_name(name)
        _check_installed()
    if files:
        from vfx_edge.scoring.readings import read_readings

        for file in _files(tuple(files)):
            read_readings(file)
    return Asked(name or "", tuple(files or ()), seed, port, language)


def said(
    asked: Asked, wanted: "Wanted", evaluated: "Evaluated", one_per_patient: bool
) -> "Readings":
    """What the files say, and the reader, who is served the cases until all are read. Ctrl-C ends
    it before; VfxError leaves."""
    from vfx_edge.scoring.readings import Readings, read_readings

    found = Readings()
    for file in _files(asked.files):
        found = found.with_more(read_readings(file))
    if not asked.reader:
        return found
    from vfx_edge.reading.log import Log
    from vfx_edge.reading.session import Session

    log = Log(wanted.folder, asked.reader)
    cases, program = _cases(wanted, evaluated, one_per_patient)
    session = Session(cases, log, asked.reader, program, asked.seed)
    if not session.finished.is_set():
        _serve(session, asked.port, asked.language)
    others = Readings(
        tuple(one for one in found.lines if one.reader != asked.reader), found.problems
    )
    return others.with_more(read_readings(log.path))


def _files(given: tuple[Path, ...]) -> Iterator[Path]:
    """ReadingsUnreadable of a folder without any."""
    from vfx_edge.scoring.readings import ReadingsUnreadable

    for place in given:
        files = sorted(place.glob("*.csv")) if place.is_dir() else [place]
        if not files:
            raise ReadingsUnreadable(place, "no .csv file is in it")
        yield from files


def _check_name(name: str) -> None:
    if len(name) > LONGEST or not _NAME.fullmatch(name) or _TAKEN.fullmatch(name):
        raise typer.BadParameter(
            "--reader is a short name of small letters, digits and single underscores, not a "
            "number, and does not end in _aided or a number: anna, reader_a"
        )


def _check_installed() -> None:
    if missing := [module for module in NEEDED if find_spec(module) is None]:
        from vfx_edge.service.settings import ServiceUnusable

        needs = f"--reader needs {' and '.join(missing)}"
        raise ServiceUnusable(f"{needs}: pip install 'vfx-edge[service]'.")


def _cases(
    wanted: "Wanted", evaluated: "Evaluated", one_per_patient: bool
) -> "tuple[tuple[Case, ...], str]":
    """The cases as the first approach sees them, and who that is."""
    from vfx_edge.reading.case import cases_to_read
    from vfx_edge.scoring.cases import cases_of

    about = next(iter(evaluated.run["model_sets"]))
    name = about["name"]
    rows = [row for row in evaluated.rows.vertebrae if row.model == name]
    program = " ".join(filter(None, (name, about.get("digest", "")[:12])))
    outcomes = evaluated.outcomes.get(name, {})
    cases = cases_of(rows, one_per_patient).rows
    return cases_to_read(cases, wanted.dataset.studies, outcomes), program


def _serve(session: "Session", port: int, language: str) -> None:
    """OutputError where an answer could not be kept."""
    from vfx_edge.reading.server import PageServer

    server = PageServer(session, language, port)
    tell(f"vfx-edge: {session.left} of {len(session.cases)} cases to read at {server.address}")
    tell("vfx-edge: Ctrl-C ends it; the same command goes on from there")
    try:
        while not server.ended.wait(1.0):  # Windows hears Ctrl-C only between waits
            pass
    finally:
        server.stop()
        session.close()
    if server.failure is not None:
        raise server.failure
