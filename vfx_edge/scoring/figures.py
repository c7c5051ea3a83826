"""All that `evaluation.json` says, of the rows: schema `vfx-edge/evaluation/1`."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from vfx_edge.labelled.dataset import Split
from vfx_edge.scoring.about import About
from vfx_edge.scoring.cases import Cases, cases_of, patient_of
from vfx_edge.scoring.contradictions import contradictions
from vfx_edge.scoring.figures_chain import detection, outlines, suspicion
from vfx_edge.scoring.figures_classification import classification
from vfx_edge.scoring.figures_readers import comparisons, model_agreement
from vfx_edge.scoring.figures_reading import reading
from vfx_edge.scoring.notes import notes
from vfx_edge.scoring.rows import StudyRow, VertebraRow
from vfx_edge.scoring.shares import Json

SCHEMA = "vfx-edge/evaluation/1"
SIDE_BY_SIDE = (Split.TEST.value, Split.EXTERNAL.value)
OF_A_MODEL = ("detection", "outlines", "suspicion", "classification", "verdicts",
              "contradictions")  # fmt: skip


@cache
def load_schema() -> Mapping[str, Any]:
    """The JSON Schema of evaluation.json."""
    text = files("vfx_edge.scoring").joinpath("evaluation.schema.json").read_text("utf-8")
    return dict(json.loads(text))


def evaluation(vertebrae: Sequence[VertebraRow], studies: Sequence[StudyRow], about: About) -> Json:
    """The content of evaluation.json. What can't be computed is null, with a sentence `why`.

    The keys of OF_A_MODEL at the top are the first model's; `models` has each. `splits` has the
    same of the test and the external set where both are there, without subgroups. `reading` is
    there only where readings were given.
    """
    whole = _of_rows(vertebrae, studies, about, with_subgroups=True)
    first = next(iter(whole["models"].values()), None) or _of_model("", (), (), about, True)
    return {
        "schema": SCHEMA,
        "about": _about(about, vertebrae, studies),
        **{key: first[key] for key in OF_A_MODEL},
        **whole,
        "splits": _splits(vertebrae, studies, about),
        "failures": [
            {"study": row.study, "reason": row.failure, "model": row.model}
            for row in studies
            if row.failure
        ],
        "problems": [{"row": one.row, "sentence": one.sentence} for one in about.problems],
        "notes": notes(vertebrae, whole, about),
        "run": dict(about.run),
        **_reading(vertebrae, about),
    }


def _reading(vertebrae: Sequence[VertebraRow], about: About) -> Json:
    """By the labels alone: the rows of one model have each vertebra once."""
    if not about.readings.lines:
        return {}
    first = [row for row in vertebrae if row.model == vertebrae[0].model]
    return {"reading": reading(cases_of(first, about.one_per_patient), about.readings, about)}


def _about(about: About, vertebrae: Sequence[VertebraRow], studies: Sequence[StudyRow]) -> Json:
    every: list[VertebraRow | StudyRow] = [*vertebrae, *studies]
    return {
        "dataset": about.dataset,
        "positive": "malignant",
        "one_per_patient": about.one_per_patient,
        "interval": about.method,
        "confidence": about.confidence,
        "resamples": about.resamples,
        "seed": about.seed,
        "models": _models(vertebrae, studies),
        "studies": len({row.study for row in every}),
        "patients": len({patient_of(row) for row in every}),
        "vertebrae": len({(row.study, row.level) for row in vertebrae}),
        "splits": sorted({row.split for row in vertebrae if row.split}),
    }


def _models(vertebrae: Sequence[VertebraRow], studies: Sequence[StudyRow]) -> list[str]:
    every: list[VertebraRow | StudyRow] = [*vertebrae, *studies]
    return list(dict.fromkeys(row.model for row in every))


def _of_rows(
    vertebrae: Sequence[VertebraRow],
    studies: Sequence[StudyRow],
    about: About,
    with_subgroups: bool,
) -> Json:
    rows: dict[str, list[VertebraRow]] = {name: [] for name in _models(vertebrae, studies)}
    for row in vertebrae:
        rows[row.model].append(row)
    cases: dict[str, Cases] = {
        name: cases_of(own, about.one_per_patient) for name, own in rows.items()
    }
    return {
        "models": {
            name: _of_model(name, own, [row for row in studies if row.model == name], about,
                            with_subgroups)
            for name, own in rows.items()
        },
        "comparisons": comparisons(cases, about),
        "model_agreement": model_agreement(cases, about),
    }  # fmt: skip


def _of_model(
    name: str,
    rows: Sequence[VertebraRow],
    studies: Sequence[StudyRow],
    about: About,
    with_subgroups: bool,
) -> Json:
    return {
        "detection": detection(rows, studies, about),
        "outlines": outlines(rows),
        "suspicion": suspicion(rows, about),
        "classification": classification(name, rows, about, with_subgroups),
        "verdicts": _verdicts(studies),
        "contradictions": contradictions(rows),
    }


def _verdicts(studies: Sequence[StudyRow]) -> Json:
    """Truth of a study -> its verdict -> how many; a study that failed has the verdict failed."""
    found: dict[str, dict[str, int]] = {}
    for row in studies:
        of = found.setdefault(row.truth or "not_labelled", {})
        verdict = "failed" if row.failure else row.tier or "not_run"
        of[verdict] = of.get(verdict, 0) + 1
    return found


def _splits(vertebrae: Sequence[VertebraRow], studies: Sequence[StudyRow], about: About) -> Json:
    there = {row.split for row in vertebrae}
    if not there.issuperset(SIDE_BY_SIDE):
        return {}
    return {
        split: _of_rows(
            [row for row in vertebrae if row.split == split],
            [row for row in studies if row.split == split],
            about,
            with_subgroups=False,
        )
        for split in SIDE_BY_SIDE
    }
