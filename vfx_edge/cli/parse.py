"""What people type, turned into the library's own words; wrong usage is a `typer.BadParameter`."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from vfx_edge import vocabulary
from vfx_edge.fracture_task import CLASSIFY_WORDS
from vfx_edge.outputs import kinds
from vfx_edge.study import Anchor, BackendRequest, ByHand, Level, Shift
from vfx_edge.tasks import TASKS
from vfx_edge.vocabulary import LANGUAGES as LANGUAGES

if TYPE_CHECKING:
    from vfx_edge.manifest import Demand

PRECISIONS = ("auto", *vocabulary.PRECISIONS)


def backends() -> tuple[str, ...]:
    """What --backend takes."""
    return (*local_backends(), *vocabulary.SERVED)


def local_backends() -> tuple[str, ...]:
    """Those of this machine."""
    return ("auto", *vocabulary.BACKENDS)


def request(backend: str, device: int, gpu_memory: float | None, precision: str) -> BackendRequest:
    """What is asked of the machine, or of a server. ServerInvalid where that can't be meant."""
    precision = one_of(precision, PRECISIONS, "precision")
    asked = BackendRequest.of(backend, precision, device, gpu_memory)
    one_of(asked.backend, backends(), "backend")
    if asked.problem:
        raise typer.BadParameter(asked.problem)
    if asked.backend in vocabulary.SERVED:
        from vfx_edge.backends.kserve_settings import server_of

        server_of(asked.server)
    return asked


def a_level(text: str) -> Level:
    """`"l1"` -> Level.L1."""
    try:
        return vocabulary.level_named(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def level_range(text: str) -> tuple[Level, ...]:
    """`"T1-L5"` -> every level from the first to the last; a single level stands for itself."""
    try:
        return vocabulary.level_range(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def by_hand(shift: int | None, anchor: str | None) -> ByHand | None:
    """What a person says of the names: `1`, or `"L5=-700"`; None where nothing is said."""
    if shift is not None and anchor is not None:
        raise typer.BadParameter(
            "--shift-levels and --anchor exclude each other: give the one you are sure of"
        )
    if anchor is None:
        return None if shift is None else Shift(shift)
    name, equals, height = anchor.partition("=")
    try:
        z_mm = float(height)
    except ValueError:
        z_mm = math.nan
    if not equals or not math.isfinite(z_mm):
        raise typer.BadParameter(
            f"{anchor!r} names no vertebra at a height: write for example L5=-700, a level and a "
            "z in mm"
        )
    return Anchor(a_level(name), z_mm)


def demand(digest: str | None, key: Path | None) -> "Demand | None":
    """What a model set must prove; None where nothing is asked."""
    if digest is None and key is None:
        return None
    from vfx_edge.manifest import DIGEST, Demand

    if digest is not None and not DIGEST.fullmatch(digest):
        raise typer.BadParameter(
            "the digest of a model set is 64 hexadecimal digits: `vfx-edge models verify` prints it"
        )
    return Demand(digest, key)


def classify_choice(text: str) -> str | tuple[Level, ...]:
    """`"suspected"`, `"all"`, or the levels of `"L1,L2"`."""
    if text.strip().lower() in CLASSIFY_WORDS:
        return text.strip().lower()
    return tuple(sorted({a_level(item) for item in _items(text, "suspected, all or L1,L2")}))


def output_kinds(text: str | None, task: str) -> tuple[str, ...]:
    """`"json,html"` -> the kinds asked for, always with json, in the order of the table; None:
    the task's default ones."""
    offered = TASKS[task].outputs
    if text is None:
        return kinds.defaults(offered)
    try:
        return kinds.chosen((item.lower() for item in _items(text, ",".join(offered))), offered)
    except kinds.UnknownKind as error:
        raise typer.BadParameter(str(error)) from None


def one_of(text: str, choices: Sequence[str], what: str) -> str:
    """`text` in lower case when it is one of `choices`."""
    if text.strip().lower() not in choices:
        raise typer.BadParameter(f"{text!r} is no {what}: use one of {', '.join(choices)}")
    return text.strip().lower()


def names(text: str, choices: Sequence[str], what: str) -> tuple[str, ...]:
    """`"a,b"` -> each of them once, in lower case, when all are of `choices`."""
    items = _items(text, ",".join(choices[:2]))
    return tuple(dict.fromkeys(one_of(item, choices, what) for item in items))


def _items(text: str, example: str) -> list[str]:
    items = [item.strip() for item in text.split(",") if item.strip()]
    if not items:
        raise typer.BadParameter(f"nothing named: write for example {example}")
    return items
