"""How repeatable the shipped set's answers are, on phantoms and on CTs: for docs/evaluation.md."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import results
from benchmarks.options import Cts
from benchmarks.results import Kept
from models.recipes.scorecard.render import replaced
from models.recipes.scorecard.table import table
from vfx_edge.labelled.dataset import Dataset, LabelledStudy
from vfx_edge.outputs.nifti import write_image
from vfx_edge.phantom.cohort import draw_cohort, make_study
from vfx_edge.scoring.repeat import repeat, write_repeat
from vfx_edge.scoring.repeat_page import MEASURE_NAMES, limits_words, number_words, share_words
from vfx_edge.scoring.run import Source, Wanted

NAME = "repeatability"
PAGE = results.ROOT / "docs" / "evaluation.md"
SEED = 41
"""No recipe trains on it."""
WORDS = {"phantoms": "phantoms", "ct": "CTs"}


def command(
    phantoms: Annotated[int, typer.Option(help="Studies of the phantom cohort.", min=2)] = 40,
    ct: Cts = None,
) -> None:
    """The shipped set over phantoms, and over CTs of your own, each as it is and made anew with
    other noise, place and kernel. Writes the tables of docs/evaluation.md. Resumable."""
    paths = tuple(ct or ())
    kept = Kept(NAME, {"phantoms": phantoms, "ct": len(paths)})
    folder = results.UNFINISHED / NAME
    groups = {"phantoms": _cohort(folder / "phantoms", phantoms), "ct": _own(paths)}
    figures = {name: _figures(data, folder / name) for name, data in groups.items() if data.studies}
    kept.finish(figures)
    render()


def render() -> None:
    """Write the tables of docs/evaluation.md from what was measured."""
    found = results.read(NAME)
    assert found is not None
    PAGE.write_text(page(PAGE.read_text("utf-8"), results.flat(found)), encoding="utf-8")


def page(text: str, figures: dict[str, Any]) -> str:
    """`text` with the tables made anew."""
    said = [
        f"Of {WORDS[name]} ({_size(figures[name])}):\n\n{_changed(figures[name])}\n\n"
        f"{_heights(figures[name])}"
        for name in WORDS
        if name in figures
    ]
    machine = f"*{figures['machine']['cpu']['name']}, {figures['threads']} threads.*"
    return replaced(text, NAME, "\n\n".join([*said, machine]) + "\n")


def _cohort(folder: Path, count: int) -> Dataset:
    """Written once: an interrupted run finds its studies as they were."""
    made = []
    for study in draw_cohort(count, SEED):
        path = folder / "rawdata" / f"{study.name}_ct.nii.gz"
        if not path.is_file():
            results.log(f"phantom {study.name}")
            hu, phantom = make_study(study)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_image(hu, phantom.scan.image, path)
        made.append(LabelledStudy(study.name, study.patient, path, None, ()))
    return Dataset(folder, tuple(made))


def _own(paths: Sequence[Path]) -> Dataset:
    """Each CT is taken for a patient of its own."""
    names = [path.name if path.is_dir() else path.parent.name for path in paths]
    studies = [
        LabelledStudy(name, name, path, None, ()) for name, path in zip(names, paths, strict=True)
    ]
    return Dataset(Path(), tuple(studies))


def _figures(data: Dataset, folder: Path) -> dict[str, Any]:
    wanted = Wanted(data, folder, models=(Source("default", "default"),))
    found = repeat(wanted, on_study=lambda _, done, every: results.log(f"{done} of {every}"))
    write_repeat(folder, found)
    results.log(f"page: {folder / 'repeat.html'}")
    return {
        "comparisons": dict(found.figures["models"]["default"]),
        "failures": len(found.figures["failures"]),
    }


def _size(group: dict[str, Any]) -> str:
    first = next(iter(group["comparisons"].values()))
    failed = f"; {group['failures']} comparisons failed" if group["failures"] else ""
    return f"{first['studies']} studies, {first['vertebrae']['both']} vertebrae{failed}"


def _changed(group: dict[str, Any]) -> str:
    head = ("compared with the scan as it was", "vertebrae found in one only", "named otherwise",
            "study verdicts that flip", "vertebrae that flip", "p(malignant) of suspected ones: SD "
            "of the change", "moved by more than 0.1")  # fmt: skip
    rows = [
        (
            f"{how}: {one['words']}",
            f"{one['vertebrae']['only_first'] + one['vertebrae']['only_second']}",
            f"{one['vertebrae']['renamed']} of {one['vertebrae']['both']}",
            share_words(one["flips"]["verdict"]["share"]),
            share_words(one["flips"]["vertebra"]["share"]),
            _plain(one["p_malignant"]["suspected"]["sd"]),
            share_words(one["p_malignant"]["suspected"]["changed"]),
        )
        for how, one in group["comparisons"].items()
    ]
    return table(head, rows)


def _heights(group: dict[str, Any]) -> str:
    head = ("compared", "measure", "n", "within-subject SD", "repeatability coefficient", "bias",
            "limits of agreement")  # fmt: skip
    rows = []
    for how, one in group["comparisons"].items():
        for key, (name, unit) in MEASURE_NAMES.items():
            it = {**one["measures"][key], "unit": unit}
            rows.append((how, name, str(it["n"]), number_words(it["within_sd"], unit),
                         number_words(it["coefficient"], unit), number_words(it["bias"], unit),
                         limits_words(it)))  # fmt: skip
    return table(head, rows)


def _plain(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
