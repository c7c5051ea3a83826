"""Studies asked again about scans made anew, over worker processes that play the chain."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.scoring.played_studies import dataset, wanted
from vfx_edge.scoring.repeat import PerturbationUnknown, chosen, repeat, write_repeat
from vfx_edge.scoring.repeat_page import FLIP_WORDS, flipped
from vfx_edge.scoring.repeated import PAIR
from vfx_edge.scoring.run import evaluate

MODULE = "tests.scoring.played_repeats"
STUDIES = {"steady": "is steady", "fickle": "is fickle", "refused": "is refused anew"}


def counts(folder: Path) -> dict[str, str]:
    """Study's file -> the perturbations it was asked for, in their order."""
    return {file.stem: file.read_text("utf-8") for file in sorted(folder.glob("*.asked"))}


def test_each_study_is_asked_once_for_each_perturbation(tmp_path: Path) -> None:
    data = dataset(tmp_path / "data", STUDIES)
    asked = wanted(data, tmp_path / "out", module=MODULE)
    evaluate(asked)
    first = repeat(asked, chosen("noise,shift"))
    assert counts(tmp_path / "data") == dict.fromkeys("012", "- noise shift ")
    again = repeat(asked, chosen("noise,shift"))
    assert counts(tmp_path / "data") == dict.fromkeys("012", "- noise shift ")
    assert again.figures == first.figures
    (model,) = first.figures["models"].values()
    assert list(model) == ["noise", "shift"]
    assert (model["noise"]["studies"], model["noise"]["failed"]) == (2, 1)
    assert model["noise"]["flips"]["verdict"]["share"]["count"] == 1
    assert model["noise"]["flips"]["vertebra"]["pairs"] == [
        {"first": "malignant", "second": "malignant", "count": 1},
        {"first": "malignant", "second": "osteoporotic", "count": 1},
    ]
    assert {one["study"] for one in first.figures["failures"]} == {"refused"}


def test_what_a_perturbation_is_compared_with_is_asked_too() -> None:
    assert [one.name for one in chosen("Noise_Again")] == ["noise", "noise_again"]
    assert [one.name for one in chosen("all")] == [
        "noise", "noise_again", "shift", "smoother", "sharper",
    ]  # fmt: skip
    assert chosen("none") == ()
    with pytest.raises(PerturbationUnknown, match="smoother"):
        chosen("noise,blur")


def test_two_scans_of_a_patient_are_compared_and_written(tmp_path: Path) -> None:
    data = dataset(tmp_path / "data", {"first": "is steady", "second": "is fickle"})
    one, other = data.studies
    pair = (one, replace(other, patient=one.patient, repeat_of="first"))
    asked = wanted(replace(data, studies=pair), tmp_path / "out", module=MODULE)
    found = repeat(asked, ())
    (model,) = found.figures["models"].values()
    assert (model[PAIR]["studies"], model[PAIR]["matched_by"]) == (1, "name")
    for path in write_repeat(tmp_path / "out", found):
        assert path.stat().st_size > 0
    assert json.loads((tmp_path / "out" / "repeat.json").read_text("utf-8")) == found.figures
    page = (tmp_path / "out" / "repeat.html").read_text("utf-8")
    assert "two scans of one patient" in page
    assert "://" not in page


def test_names_of_strangers_are_escaped(tmp_path: Path) -> None:
    data = dataset(tmp_path / "data", {"<script>x</script>": "is refused anew"})
    found = repeat(wanted(data, tmp_path / "out", module=MODULE), chosen("shift"))
    (_, page, _) = write_repeat(tmp_path / "out", found)
    assert "<script>" not in page.read_text("utf-8")


def test_what_flipped_is_said_in_words() -> None:
    none = {"pairs": [], "n": 0}
    pairs = [{"first": "none_suspected", "second": "malignant", "count": 2}]
    flips = dict.fromkeys(FLIP_WORDS, none) | {"vertebra": {"pairs": pairs, "n": 7}}
    (line,) = flipped({"name": "noise_again", "flips": flips})
    assert line == "noise again, vertebra: none suspected → malignant, 2 of 7"
