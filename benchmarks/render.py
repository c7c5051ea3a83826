"""The figures as Markdown between the markers of docs/benchmarks.md, and its pictures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import (
    batch,
    batch_kills,
    foreign,
    gpu_tables,
    isa,
    kserve,
    load,
    results,
    tables,
)
from benchmarks.goals import goals
from models.recipes.scorecard.goals import MISSED, UNKNOWN, Goal
from models.recipes.scorecard.render import replaced
from models.recipes.scorecard.table import table
from vfx_edge.bench.machine import BUSY, model_set
from vfx_edge.manifest import load_model_set

PAGE = results.ROOT / "docs" / "benchmarks.md"
PICTURES = results.ROOT / "docs" / "benchmarks"
Figures = dict[str, Any]
Measured = dict[str, dict[str, Figures]]
"""Script -> class of processors -> figures; "" for what does not depend on the class."""
WANTED = ("avx2", "avx512-bf16")
"""The classes that the goals are about, side by side."""
SECTIONS: dict[str, Callable[[Figures], str]] = {
    "speed": tables.speed,
    "peers": tables.peers,
    "growth": tables.growth,
    "limits": tables.limits,
    "floor": tables.floor,
    "precisions": tables.precisions,
    "batches": tables.batches,
    "batch": batch.rows,
    "batch-kills": batch_kills.rows,
    "kserve": kserve.rows,
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
    for name, cpu in drawn(figures):
        draw(name, figures[name][cpu], picture(name, cpu))
    results.log(f"written: {PAGE.relative_to(results.ROOT)} and its pictures")


def picture(name: str, cpu: str) -> Path:
    """Where a script's picture lies, for a class of processors."""
    return PICTURES / f"{name}-{cpu}.svg"


def drawn(figures: Measured) -> list[tuple[str, str]]:
    """Script and class of every picture that can be drawn."""
    return [(name, cpu) for name in DRAWN for cpu in figures.get(name, {})]


def measured() -> Measured:
    """What has been run: each script's figures, machine and settings, by class of processors
    where they depend on it."""
    found: Measured = {}
    for name in SECTIONS:
        for cpu in isa.CLASSES if name in results.BY_CLASS else ("",):
            if (record := results.read(name, cpu)) is not None:
                found.setdefault(name, {})[cpu] = results.flat(record)
    return found


def page(text: str, figures: Measured) -> str:
    """`text` with everything between its markers made anew."""
    text = replaced(text, "goals", _goals(figures))
    earlier = results.read("before")
    assert earlier is not None, "benchmarks/results/before.json belongs to the repository"
    text = replaced(text, "before", tables.before(earlier))
    for name in SECTIONS:
        text = replaced(text, name, _section(name, figures.get(name, {})))
    return replaced(text, "machine", _machines(figures))


def _section(name: str, found: dict[str, Figures]) -> str:
    if name not in results.BY_CLASS and not found:
        return f"Not measured yet: `python -m benchmarks {COMMANDS.get(name, name)}`.\n"
    classes = WANTED if name in results.BY_CLASS else ("",)
    return "\n".join(_block(name, cpu, found.get(cpu)) for cpu in dict.fromkeys((*classes, *found)))


def _block(name: str, cpu: str, found: Figures | None) -> str:
    """What a script found on one class of processors, under a line that says on which machine."""
    title = isa.CLASSES.get(cpu, "")
    if found is None:
        command = COMMANDS.get(name, name)
        option = f" --isa {cpu}" * (cpu in isa.HELD)
        return f"**{title}:** not measured yet: `python -m benchmarks {command}{option}`.\n"
    parts = [f"**{title}:** {_where(found)}."] if title else []
    parts.append(SECTIONS[name](found))
    if name in DRAWN:
        parts.append(f"![{tables.PICTURES[name]}](benchmarks/{picture(name, cpu).name})")
    return "\n\n".join((*parts, _asked(found))) + "\n"


def _where(found: Figures) -> str:
    """The machine in a few words, the day, and whether today's networks are still those."""
    machine, now = found["machine"], model_set(load_model_set("default"))["networks"]
    words = [f"{machine['cpu']['name']}, {found['threads']} threads"]
    words += [found["held"]] * bool(found["held"])
    words.append(found["measured_on"])
    others = [
        role for role, network in now.items() if network != found["models"]["networks"].get(role)
    ]
    words += [f"with earlier networks ({', '.join(others)})"] * bool(others)
    return "; ".join(words)


def _goals(figures: Measured) -> str:
    """A row for each figure, and for each class what was wanted and what was reached."""
    by_class = {
        cpu: {goal.figure: goal for goal in goals(_of_class(figures, cpu))} for cpu in WANTED
    }
    heads = [
        f"{isa.CLASSES[cpu]}: {_count(list(lines.values()))}" for cpu, lines in by_class.items()
    ]
    titles = dict.fromkeys(figure for lines in by_class.values() for figure in lines)
    rows = [
        (figure, *(cell for lines in by_class.values() for cell in _cells(lines.get(figure))))
        for figure in titles
    ]
    head = ("figure", *(cell for cpu in WANTED for cell in (isa.CLASSES[cpu], "reached", "")))
    return f"{'. '.join(heads)}.\n\n{table(head, rows)}\n"


def _of_class(figures: Measured, cpu: str) -> dict[str, Figures]:
    return {name: found[cpu] for name, found in figures.items() if cpu in found}


def _cells(goal: Goal | None) -> tuple[str, str, str]:
    return (goal.wanted, goal.reached, goal.state) if goal else ("–", "–", UNKNOWN)


def _count(lines: list[Goal]) -> str:
    missed, unknown = (sum(g.state == state for g in lines) for state in (MISSED, UNKNOWN))
    return f"{missed or 'none'} of {len(lines)} missed" + f", {unknown} not measured" * bool(
        unknown
    )


def _asked(found: Figures) -> str:
    settings = ", ".join(f"{key} {_plain(value)}" for key, value in found["settings"].items())
    busy = found["machine"]["busy"]
    others = f"Others used {busy:.0%} of the processors when it began"
    warning = ": **the machine was busy**" if busy > BUSY else ""
    return f"*Asked for: {settings}. {others}{warning}.*"


def _machines(figures: Measured) -> str:
    """What each script ran on; once, where they agree."""
    by_machine: dict[str, list[str]] = {}
    for name, classes in figures.items():
        for found in classes.values():
            by_machine.setdefault(_machine(found), []).append(f"`{name}`")
    lines = [f"- {', '.join(names)}: {machine}" for machine, names in by_machine.items()]
    return "\n".join(lines or ["Nothing is measured yet."]) + "\n"


def _machine(found: Figures) -> str:
    machine, models = found["machine"], found["models"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    weights = ", ".join(f"{role} `{n['sha256'][:8]}`" for role, n in models["networks"].items())
    held = f" ({found['held']})" if found.get("held") else ""
    return (
        f"{machine['cpu']['name']}{held}, {found['threads']} threads, "
        f"{machine['memory_gib']:g} GB, {machine['gpu'] or 'no GPU'}; {machine['os']}; "
        f"Python {machine['python']}; {versions}. "
        f"Networks of the set `{models['name']}` {models['version']}: {weights}."
    )


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
