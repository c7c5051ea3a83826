"""Two answers about one patient, put together and counted."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vfx_edge.scoring.answers import Answer, Seen
from vfx_edge.scoring.repeat_figures import repeat_figures
from vfx_edge.scoring.repeated import PAIR, RepeatedStudy, RepeatRow, rows_of, write_repeats

T12 = Seen(
    "T12", (0.0, 0.0, 100.0), 0.9, True, 24.0, 23.0, 26.0, 0.05, False, 0.5, 0.5, "uncertain"
)
L1 = Seen("L1", (0.0, 2.0, 66.0), 0.9, True, 20.0, 22.0, 28.0, 0.3, True, 0.2, 0.8, "malignant")
L2 = Seen(
    "L2", (0.0, 5.0, 31.0), 0.9, True, 28.0, 27.5, 28.0, 0.02, False, 0.9, 0.1, "osteoporotic"
)
C7 = Seen("C7", (0.0, 0.0, 420.0), 0.9)


def answer(*seen: Seen, tier: str = "malignant") -> Answer:
    return Answer(seen, (), tier)


def study(comparison: str = "shift", patient: str = "p1", name: str = "s1") -> RepeatedStudy:
    return RepeatedStudy("ours", comparison, name, comparison, patient, "malignant", "uncertain")


def moved(seen: Seen, mm: float, **others: Any) -> Seen:
    x, y, z = seen.lps_mm or (0.0, 0.0, 0.0)
    return replace(seen, lps_mm=(x, y, z + mm), **others)


def test_vertebrae_are_matched_by_place_whatever_they_are_called() -> None:
    again = answer(moved(L1, 1.0, level="T12", tier="uncertain"), moved(L2, 2.0, level="L1"))
    rows = rows_of(study(), answer(C7, T12, L1, L2), again)
    assert [(row.level, row.again_level, row.distance_mm) for row in rows] == [
        ("T12", "", None),
        ("L1", "T12", 1.0),
        ("L2", "L1", 2.0),
    ]
    assert (rows[1].verdict, rows[1].again_verdict) == ("malignant", "uncertain")
    assert (rows[2].verdict, rows[2].again_verdict) == ("none_suspected", "none_suspected")
    assert (rows[2].cause, rows[2].again_cause) == ("osteoporotic", "osteoporotic")


def test_a_place_belongs_to_one_vertebra_alone() -> None:
    rows = rows_of(study(), answer(T12, L1), answer(moved(T12, 4.0), moved(T12, -3.0, level="L1")))
    assert [(row.level, row.again_level) for row in rows] == [
        ("T12", "L1"),
        ("", "T12"),
        ("L1", ""),
    ]


def test_two_scans_are_matched_by_name() -> None:
    rows = rows_of(study(PAIR), answer(T12, L1), answer(moved(L1, 300.0), moved(L2, 300.0)))
    assert [(row.level, row.again_level) for row in rows] == [
        ("T12", ""),
        ("L1", "L1"),
        ("", "L2"),
    ]
    assert rows[1].distance_mm is None


def test_what_could_not_be_judged_counts_nowhere_but_in_its_own_place() -> None:
    cut = moved(T12, 0.0, whole=False, suspected=True, tier="malignant")
    rows = rows_of(study(), answer(cut, L1), answer(cut, moved(L1, 1.0, suspected=None)))
    assert [(row.judged, row.suspected) for row in rows] == [(False, False), (True, True)]
    assert rows[1].again_verdict == "not_assessable"


def test_figures_count_what_changed() -> None:
    rows: list[RepeatRow] = []
    studies = []
    for number in range(4):
        one = replace(study(patient=f"p{number}", name=f"s{number}"), again_verdict="malignant")
        off = 0.5 if number % 2 else -0.5
        again = answer(
            moved(L1, 0.2, anterior_mm=20.0 + off, p_malignant=0.8 - 0.15 * (number == 3)),
            moved(L2, 0.2, suspected=number == 0),
        )
        rows += rows_of(one, answer(L1, L2), again)
        studies.append(one)
    studies.append(RepeatedStudy("ours", "shift", "s9", "shift", "p9", failure="no spine."))
    found = repeat_figures(rows, studies, {"shift": "shifted"}, {})
    json.dumps(found, allow_nan=False)
    shift = found["models"]["ours"]["shift"]
    assert (shift["words"], shift["matched_by"]) == ("shifted", "place")
    assert (shift["patients"], shift["studies"], shift["failed"]) == (4, 4, 1)
    assert found["failures"][0]["reason"] == "no spine."
    assert shift["vertebrae"] == {
        "both": 8, "judged": 8, "only_first": 0, "only_second": 0, "renamed": 0,
    }  # fmt: skip
    anterior = shift["measures"]["anterior_mm"]
    assert anterior["within_sd"]["value"] == pytest.approx((4 * 0.25 / 2 / 8) ** 0.5)
    assert anterior["bias"]["value"] == 0
    assert shift["measures"]["middle_mm"]["within_sd"]["value"] == 0
    assert shift["p_malignant"]["suspected"]["n"] == 5  # L2 of the first study once
    assert shift["p_malignant"]["suspected"]["changed"]["count"] == 1
    assert shift["p_malignant"]["all"]["largest"] == pytest.approx(0.15)
    verdicts = shift["flips"]["verdict"]
    assert (verdicts["share"]["count"], verdicts["n"]) == (0, 4)
    vertebra = shift["flips"]["vertebra"]
    assert (vertebra["share"]["count"], vertebra["n"]) == (1, 8)
    assert {"first": "none_suspected", "second": "osteoporotic", "count": 1} in vertebra["pairs"]


def test_nothing_in_common_is_null_with_a_reason() -> None:
    rows = rows_of(study(), answer(), answer(L1))
    found = repeat_figures(rows, [study()], {}, {})["models"]["ours"]["shift"]
    assert found["vertebrae"]["only_second"] == 1
    for one in (found["measures"]["anterior_mm"]["within_sd"], found["p_malignant"]["all"]["mean"]):
        assert one["value"] is None
        assert one["why"]


def test_rows_as_csv(tmp_path: Path) -> None:
    rows = rows_of(study(), answer(L1, L2), answer(moved(L1, 1.0)))
    path = write_repeats(tmp_path / "repeats.csv", rows)
    with path.open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [(line["level"], line["again_level"]) for line in read] == [("L1", "L1"), ("L2", "")]
    assert float(read[0]["again_anterior_mm"]) == 20.0
    assert read[1]["again_p_malignant"] == ""
