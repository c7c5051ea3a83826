"""Two benchmarks side by side: what became faster, and what only looks so."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from vfx_edge.bench.machine import BUSY
from vfx_edge.bench.parity import DIFFERS
from vfx_edge.bench.record import Json, Record, Row
from vfx_edge.bench.samples import Ratio, Samples, ratio, verdict

SCHEMA = "vfx-edge/bench-comparison/1"
LEAST_S = 0.001
"""A stage that takes less did not run, or is too short to be compared."""


@dataclass(frozen=True)
class Line:
    """One figure of A and of B."""

    what: str
    unit: str
    """"s", "MiB" or "studies/min"."""
    a: float
    """Median, where it was measured several times."""
    b: float
    ratio: float
    """B over A."""
    interval: tuple[float, float] | None
    """95 %, by the noise inside the two files; None for what was measured once."""
    verdict: str
    """On B against A: "faster", "slower", "no difference seen", "too few runs", "too noisy",
    "machine was busy"; empty for what was measured once."""
    stage: bool = False
    """Whether it is a part of another line."""


@dataclass(frozen=True)
class Comparison:
    """What two files show together."""

    lines: tuple[Line, ...]
    differences: tuple[str, ...]
    """What, beside the program's speed, was not the same: one clause each."""
    notes: tuple[str, ...]
    """What makes one side's figures, or answers, doubtful."""

    def to_json_able(self) -> Json:
        return {"schema": SCHEMA, **asdict(self)}


def compare(a: Record, b: Record) -> Comparison:
    """B against A, for all that both measured."""
    return Comparison(tuple(_lines(a, b)), tuple(_differences(a, b)), tuple(_notes(a, b)))


def _lines(a: Record, b: Record) -> Iterator[Line]:
    theirs = {row.name: row for row in b.rows}
    for row in a.rows:
        if row.name in theirs:
            yield from _row_lines(row, theirs[row.name])
    if a.command and b.command:
        busy = max(a.command.busy, b.command.busy)
        yield _line("whole command, cold", a.command.cold, b.command.cold, busy)
        yield _line("whole command, first", a.command.first, b.command.first, busy)
    if a.throughput and b.throughput:
        per_minute = (a.throughput.per_minute, b.throughput.per_minute)
        yield _single("throughput", "studies/min", *per_minute)


def _row_lines(a: Row, b: Row) -> Iterator[Line]:
    busy = max(a.busy, b.busy)
    yield _line(f"{a.name}: warm study", a.warm, b.warm, busy)
    for name in a.stages:
        if name in b.stages and min(a.stages[name].min, b.stages[name].min) >= LEAST_S:
            yield _line(f"{a.name}: {name}", a.stages[name], b.stages[name], busy, stage=True)
    yield _single(f"{a.name}: first study", "s", a.first_s, b.first_s)
    yield _single(f"{a.name}: peak memory", "MiB", a.peak_rss_mib, b.peak_rss_mib)
    if a.peak_vram_mib and b.peak_vram_mib:
        yield _single(f"{a.name}: peak GPU memory", "MiB", a.peak_vram_mib, b.peak_vram_mib)


def _line(what: str, a: Samples, b: Samples, busy: float, *, stage: bool = False) -> Line:
    found: Ratio = ratio(b, a)
    word = verdict(found)
    if word in ("faster", "slower") and busy > BUSY:
        word = "machine was busy"  # with others, for as long as that side was measured
    elif word in ("faster", "slower") and (a.noisy or b.noisy):
        word = "too noisy"  # what disturbs so much is hardly the same on both sides
    interval = (found.low, found.high)
    return Line(what, "s", a.median, b.median, found.median, interval, word, stage)


def _single(what: str, unit: str, a: float, b: float) -> Line:
    return Line(what, unit, a, b, b / a, None, "")


def _differences(a: Record, b: Record) -> Iterator[str]:
    yield from _changed("machine", _machine(a), _machine(b))
    yield from _changed("input", _input(a), _input(b))
    if a.input["phantom"] and b.input["phantom"]:
        yield from _changed("phantom", a.input["phantom"], b.input["phantom"])
    yield from _changed("model", _models(a), _models(b))
    yield from _changed("version of", _versions(a), _versions(b))
    ours, theirs = ({row.name for row in record.rows} for record in (a, b))
    for names, name in ((ours - theirs, "A"), (theirs - ours, "B")):
        if names:
            yield f"only in {name}: {', '.join(sorted(names))}"


def _notes(a: Record, b: Record) -> Iterator[str]:
    for record, name in ((a, "A"), (b, "B")):
        for row in record.rows:
            if row.parity.verdict == DIFFERS:
                yield f"{name}: {row.name} {row.parity}"
        yield from (f"{name}: {warning}" for warning in record.warnings)


def _changed(what: str, a: dict[str, Any], b: dict[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys((*a, *b)):
        one, other = (_word(side.get(name)) for side in (a, b))
        if one != other:
            yield f"{what} {name}: {one} in A, {other} in B"


def _word(value: object) -> str:
    if isinstance(value, list | tuple):
        return " x ".join(map(str, value))
    return "none" if value is None else str(value)


def _machine(record: Record) -> dict[str, Any]:
    about = record.machine
    names = {"gpu": "GPU", "driver": "driver", "memory_gib": "memory (GiB)", "os": "system"}
    return {
        "CPU": about["cpu"]["name"],
        "cores": about["cpu"]["usable_cores"],
        "threads": record.threads,
        **{shown: about[name] for name, shown in names.items()},
    }


def _input(record: Record) -> dict[str, Any]:
    given = record.input
    return {
        "kind": given["kind"],
        "size": given["shape_zyx"],
        "spacing (mm)": given["spacing_zyx_mm"],
    }


def _models(record: Record) -> dict[str, Any]:
    networks = record.models["networks"].items()
    return {role: f"{network['name']} {network['sha256'][:8]}" for role, network in networks}


def _versions(record: Record) -> dict[str, Any]:
    return {"Python": record.machine["python"], **record.machine["packages"]}
