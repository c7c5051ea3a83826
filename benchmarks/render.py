"""The figures as Markdown between the markers of docs/benchmarks.md, and its pictures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import foreign, gpu_tables, load, results, tables
from benchmarks.goals import goals
from models.recipes.scorecard.goals import MISSED, UNKNOWN
from models.recipes.scorecard.render import replaced
from models.recipes.scorecard.table import table
from vfx_edge.bench.machine import BUSY

PAGE = results.ROOT / "docs" / "benchmarks.md"
PICTURES = results.ROOT / "docs" / "benchmarks"
Figures = dict[str, Any]
SECTIONS: dict[str, Callable[[Figures], str]] = {
    "speed": tables.speed,
    "peers": tables.peers,
    "growth": tables.growth,
    "limits": tables.limits,
    "batches": tables.batches,
    "service": tables.service,
    "load": load.rows,
    "page": tables.page,
    "foreign": foreign.foreign,
    "gpu": gpu_tables.gpu,
}
COMMANDS = {"load": "service --load"}
"""Where it is not the section's name."""
DRAWN = tuple(tables.PICTURES)


def command() -> None:
    """Write the tables and pictures of docs/benchmarks.md from benchmarks/results."""
    from benchmarks.pictures import draw

    figures = measured()
    PAGE.write_text(page(PAGE.read_text("utf-8"), figures), encoding="utf-8")
    PICTURES.mkdir(exist_ok=True)
    for name in DRAWN:
        if name in figures:
            draw(name, figures[name], picture(name))
    results.log(f"written: {PAGE.relative_to(results.ROOT)} and its pictures")


def picture(name: str) -> Path:
    """Where a script's picture lies."""
    return PICTURES / f"{name}.svg"


def measured() -> dict[str, Figures]:
    """Script -> its figures, machine and settings; those that have been run."""
    found = {name: results.read(name) for name in SECTIONS}
    return {name: results.flat(record) for name, record in found.items() if record is not None}


def page(text: str, figures: dict[str, Figures]) -> str:
    """`text` with everything between its markers made anew."""
    text = replaced(text, "goals", _goals(figures))
    for name in SECTIONS:
        text = replaced(text, name, _section(name, figures.get(name)))
    return replaced(text, "machine", _machines(figures))


def _section(name: str, found: Figures | None) -> str:
    if found is None:
        return f"Not measured yet: `python -m benchmarks {COMMANDS.get(name, name)}`.\n"
    parts = [SECTIONS[name](found), _asked(found)]
    if name in DRAWN:
        parts.insert(1, f"![{tables.PICTURES[name]}](benchmarks/{picture(name).name})")
    return "\n\n".join(parts) + "\n"


def _goals(figures: dict[str, Figures]) -> str:
    lines = goals(figures)
    missed, unknown = (sum(g.state == state for g in lines) for state in (MISSED, UNKNOWN))
    head = f"{missed or 'None'} of {len(lines)} missed." + (
        f" {unknown} not measured." * (unknown > 0)
    )
    rows = [(line.figure, line.wanted, line.reached, line.state) for line in lines]
    return f"{head}\n\n{table(('figure', 'wanted', 'reached', ''), rows)}\n"


def _asked(found: Figures) -> str:
    settings = ", ".join(f"{key} {_plain(value)}" for key, value in found["settings"].items())
    busy = found["machine"]["busy"]
    others = f"Others used {busy:.0%} of the processors when it began"
    warning = ": **the machine was busy**" if busy > BUSY else ""
    return f"*Asked for: {settings}. {others}{warning}.*"


def _machines(figures: dict[str, Figures]) -> str:
    """What each script ran on; once, where they agree."""
    by_machine: dict[str, list[str]] = {}
    for name, found in figures.items():
        by_machine.setdefault(_machine(found), []).append(f"`{name}`")
    lines = [f"- {', '.join(names)}: {machine}" for machine, names in by_machine.items()]
    return "\n".join(lines or ["Nothing is measured yet."]) + "\n"


def _machine(found: Figures) -> str:
    machine, models = found["machine"], found["models"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    weights = ", ".join(f"{role} `{n['sha256'][:8]}`" for role, n in models["networks"].items())
    return (
        f"{machine['cpu']['name']}, {found['threads']} threads, {machine['memory_gib']:g} GB, "
        f"{machine['gpu'] or 'no GPU'}; {machine['os']}; Python {machine['python']}; {versions}. "
        f"Networks of the set `{models['name']}` {models['version']}: {weights}."
    )


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
