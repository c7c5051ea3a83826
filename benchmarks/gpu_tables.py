"""The figures of `benchmarks gpu` as Markdown, as far as they were measured."""

from collections.abc import Iterable, Sequence
from typing import Any

from models.recipes.scorecard.table import table

Figures = dict[str, Any]
NOTHING = "–"


def gpu(found: Figures) -> str:
    """All tables that there is something for."""
    parts = found["parts"]
    done = sum(part["state"] == "done" for part in parts)
    tables = (
        ("Studies", _studies(parts)),
        ("Where a warm study's time goes, medians in seconds", _stages(parts)),
        ("The whole command, seconds", _commands(parts)),
        ("Peak GPU memory, of the whole card, beyond what was taken before", _memory(parts)),
        ("Engines: seconds to open each network alone, nothing built before", _engines(parts)),
        ("Tests that are skipped without a GPU", _tests(parts)),
        ("What doctor says", _doctor(parts)),
        ("Parts", _parts(parts)),
    )
    head = f"{done} of {len(parts)} parts were done, on {found['machine']['gpu']}."
    return "\n\n".join([head, *(f"**{title}.**\n\n{text}" for title, text in tables if text)])


def page(found: Figures) -> str:
    """A page of its own."""
    about = found["machine"]
    cpu = f"{about['cpu']['name']}, {found['threads']} threads, {about['memory_gib']:g} GiB"
    versions = ", ".join(f"{name} {number}" for name, number in about["packages"].items())
    return (
        f"# On a GPU\n{gpu(found)}\n\nMeasured on {about['gpu']}, driver {about['driver']}; {cpu}; "
        f"{about['os']}; Python {about['python']}; {versions}.\n"
    )


def _studies(parts: list[Figures]) -> str:
    head = ("backend", "precision", "open, s", "first, s", "warm, s", "answers", "differs by",
            "GPU MiB, process", "GPU MiB, card")  # fmt: skip
    rows = [
        (
            part["backend"], row["precision"], f"{row['open_s']:.2f}", f"{row['first_s']:.2f}",
            f"{row['warm']['median']:.2f} ({row['warm']['min']:.2f}–{row['warm']['max']:.2f})",
            _answers(row["parity"]), _most(row["parity"]["networks"]),
            _whole(row["peak_vram_mib"]), _whole(part["card_mib"]),
        )
        for part, row in _rows(parts, "study")
    ]  # fmt: skip
    return _table(head, rows)


def _answers(parity: Figures) -> str:
    return ": ".join(filter(None, (parity["verdict"], parity["reason"])))


def _most(networks: list[Figures]) -> str:
    return f"{max(one['max_difference'] for one in networks):.1e}" if networks else NOTHING


def _stages(parts: list[Figures]) -> str:
    rows = list(_rows(parts, "study"))
    stages = list(dict.fromkeys(stage for _, row in rows for stage in row["stages"]))
    cells = [
        (
            f"{part['backend']} {row['precision']}",
            *(f"{row['stages'][s]['median']:.3f}" if s in row["stages"] else "" for s in stages),
        )
        for part, row in rows
    ]
    return _table(("", *stages), cells)


def _commands(parts: list[Figures]) -> str:
    rows = [
        (part["backend"], event["precision"], event["kind"], f"{event['wall']:.2f}")
        for part, event in _events(parts, "commands", "command")
    ]
    return _table(("backend", "precision", "", "seconds"), rows)


def _memory(parts: list[Figures]) -> str:
    rows = [
        (part["name"], row["precision"], _whole(part["card_mib"]), _whole(row["peak_vram_mib"]),
         "; ".join(row["warnings"]) or "none")
        for part, row in _rows(parts, "memory")
    ]  # fmt: skip
    return _table(("budget", "precision", "MiB, card", "MiB, process", "warnings"), rows)


def _engines(parts: list[Figures]) -> str:
    found: dict[str, dict[str, str]] = {}
    for part, event in _events(parts, "engines", "engine"):
        cell = f"{event['seconds']:.1f} ({event['precision']})"
        found.setdefault(part["backend"], {})[event["role"]] = cell
    roles = list(dict.fromkeys(role for of in found.values() for role in of))
    rows = [(name, *(of.get(role, NOTHING) for role in roles)) for name, of in found.items()]
    return _table(("", *roles), rows)


def _tests(parts: list[Figures]) -> str:
    rows = []
    for part in (part for part in parts if part["kind"] == "tests"):
        outcomes = [event for _, event in _events([part], "tests", "test")]
        count = [sum(o["outcome"] == kind for o in outcomes) for kind in _OUTCOMES]
        reasons = dict.fromkeys(f"{o['name']}: {o['reason']}" for o in outcomes if o["reason"])
        rows.append((part["backend"], *map(str, count), "; ".join(reasons) or NOTHING))
    return _table(("backend", *_OUTCOMES, "why"), rows)


_OUTCOMES = ("passed", "failed", "skipped")


def _doctor(parts: list[Figures]) -> str:
    told = [event["text"] for _, event in _events(parts, "doctor", "told")]
    return f"```\n{told[0]}\n```" if told else ""


def _parts(parts: list[Figures]) -> str:
    rows = [
        (part["name"], part["state"], f"{part.get('seconds', 0):.0f}", part["reason"] or NOTHING)
        for part in parts
    ]
    return _table(("part", "", "seconds", "why"), rows)


def _rows(parts: list[Figures], kind: str) -> Iterable[tuple[Figures, Figures]]:
    return ((part, part["row"]) for part in parts if part["kind"] == kind and "row" in part)


def _events(parts: list[Figures], kind: str, event: str) -> Iterable[tuple[Figures, Figures]]:
    return (
        (part, one)
        for part in parts
        if part["kind"] == kind
        for one in part.get("events", [])
        if one["event"] == event
    )


def _whole(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.0f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Empty where there is no row; a sentence never breaks a cell."""
    return table(head, [[cell.replace("|", "/") for cell in row] for row in rows]) if rows else ""
