"""What is said of scans that can't be right, and of sound ones: for docs/impossible.md."""

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import results
from benchmarks.good_scans import KINDS, good
from benchmarks.options import Cts
from benchmarks.results import Kept
from benchmarks.wrong_scans import WRONG, Wrong
from models.recipes.scorecard.render import replaced
from models.recipes.scorecard.table import table
from vfx_edge.backends import OpenModels, open_models
from vfx_edge.errors import InputError
from vfx_edge.inputs import load_scan
from vfx_edge.manifest import load_model_set
from vfx_edge.phantom import FractureSpec, PhantomSpec, make_phantom
from vfx_edge.spine import chain
from vfx_edge.study import Scan

PAGE = results.ROOT / "docs" / "impossible.md"
SPEC = PhantomSpec(
    levels=("T8", "L4"),
    spacing_mm=4.0,
    pixel_mm=3.0,
    matrix=(120, 120),
    fractures=(FractureSpec("L1", "wedge", 0.35),),
    randomness=0.5,
    seed=11,
)
"""The sound scan of which the wrong ones are made: a fracture, and nothing symmetric."""
CALM = ("none_suspected", "osteoporotic", "malignant", "uncertain")


def command(
    phantoms: Annotated[int, typer.Option(help="Sound phantoms that are judged.", min=1)] = 200,
    ct: Cts = None,
) -> None:
    """Scans that can't be right and sound ones: what is said of each, and how many sound ones are
    doubted. Writes docs/impossible.md, but for the rows of CTs of your own, which are printed."""
    kept = Kept("impossible", {"phantoms": phantoms})
    with open_models(load_model_set("default"), "auto") as models:
        sound = [kept.point(f"sound {n}", _sound, n, models) for n in range(phantoms)]
        wrong = [kept.point(w.name, _of_phantom, w, models) for w in WRONG]
        for path in ct or ():
            _print_ct(path, models)
    kept.finish({"sound": sound, "wrong": wrong})
    render()


def render() -> None:
    """Write the tables of docs/impossible.md from what was measured."""
    found = results.read("impossible")
    assert found is not None
    PAGE.write_text(page(PAGE.read_text("utf-8"), found["figures"]), encoding="utf-8")


def page(text: str, figures: dict[str, Any]) -> str:
    """`text` with both tables made anew."""
    return replaced(
        replaced(text, "impossible", _wrong_table(figures["wrong"])),
        "sound",
        _sound_table(figures["sound"]),
    )


def judged(scan: Scan, models: OpenModels) -> dict[str, Any]:
    """refused: the sentence, or None; tier, warnings and the reasons of what was not judged."""
    try:
        answer = chain.analyze(scan, models)
    except InputError as error:
        return {"refused": str(error), "tier": None, "warnings": [], "reasons": []}
    unread = answer.triage.coverage.unread
    return {
        "refused": None,
        "tier": answer.triage.tier.value,
        "warnings": list(answer.run.warnings),
        "reasons": sorted({str(why) for _, why in unread}),
    }


def noticed(found: dict[str, Any]) -> bool:
    """Whether anybody is told: refused, or warned of."""
    return bool(found["refused"] or found["warnings"])


def _sound(number: int, models: OpenModels) -> dict[str, Any]:
    example = good(number)
    return {"kind": example.kind, **judged(example.scan(), models)}


def _of_phantom(wrong: Wrong, models: OpenModels) -> dict[str, Any]:
    return {"name": wrong.name, **judged(wrong.make(_original()), models)}


@cache
def _original() -> Scan:
    return make_phantom(SPEC).scan


def _print_ct(path: Path, models: OpenModels) -> None:
    """For whoever runs it: their CTs are in no record."""
    scan = load_scan(path)
    ours = set(scan.series.warnings)
    for name, changed in (("as it is", scan), *((w.name, w.make(scan)) for w in WRONG)):
        found = judged(changed, models)
        found["warnings"] = [line for line in found["warnings"] if line not in ours]
        typer.echo(f"{path.name}, {name}: {outcome(found)}")


def outcome(found: dict[str, Any]) -> str:
    """One cell of the table."""
    if found["refused"]:
        return f"refused: {found['refused']}"
    words = " ".join(found["warnings"]) or "nothing is said"
    return f"{found['tier'].replace('_', ' ')}: {words}"


def _wrong_table(rows: list[dict[str, Any]]) -> str:
    by_name = {row["name"]: row for row in rows}
    lines = [(w.what, outcome(by_name[w.name])) for w in WRONG]
    told = [noticed(by_name[w.name]) for w in WRONG if w.told]
    calm = [
        w.name
        for w in WRONG
        if w.told and by_name[w.name]["tier"] in CALM and not _coarser(by_name[w.name])
    ]
    words = f"{sum(told)} of {len(told)} that can be told are refused or warned of"
    words += f"; {len(calm)} of them keep a verdict." if calm else "; none of them keeps a verdict."
    return f"{words}\n\n{table(['what is wrong', 'what comes out'], lines)}\n"


def _coarser(found: dict[str, Any]) -> bool:
    """Whether it was judged as the coarser scan that it is."""
    return any("were judged as in slices" in line for line in found["warnings"])


def _sound_table(rows: list[dict[str, Any]]) -> str:
    counts = Counter(row["kind"] for row in rows)
    doubted = Counter(row["kind"] for row in rows if noticed(row))
    lines = [(kind, str(counts[kind]), str(doubted[kind])) for kind in KINDS if counts[kind]]
    share = sum(doubted.values()) / len(rows)
    words = f"{sum(doubted.values())} of {len(rows)} sound phantoms ({share:.1%}) are doubted."
    said = sorted({" ".join(row["warnings"]) or row["refused"] for row in rows if noticed(row)})
    quoted = "".join(f"\n- {line}" for line in said)
    return f"{words}{quoted}\n\n{table(['kind', 'phantoms', 'doubted'], lines)}\n"
