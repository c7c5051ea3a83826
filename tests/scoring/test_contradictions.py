"""A wrong label shows where it is: on the page, in the JSON, by its line in labels.csv."""

from dataclasses import replace

import pytest

from tests.scoring.cohorts import random_rows
from tests.scoring.test_page import words_of
from vfx_edge.scoring.about import About
from vfx_edge.scoring.contradictions import contradictions
from vfx_edge.scoring.figures import evaluation, load_schema
from vfx_edge.scoring.page import page
from vfx_edge.scoring.rows import VertebraRow

ROW = VertebraRow(
    "ours", "s1", "p1", "test", "L1", "malignant", row=7, p_malignant=0.97, p_osteoporotic=0.03,
    tier="malignant", height_loss=0.3, suspected=True,
)  # fmt: skip


def right(line: int) -> VertebraRow:
    return replace(ROW, row=line, study=f"s{line}")


def test_swapped_labels_come_out_by_their_lines_the_surest_first() -> None:
    rows = [right(line) for line in range(2, 30)]
    rows[3] = replace(rows[3], label="osteoporotic")
    rows[9] = replace(rows[9], label="osteoporotic", p_malignant=0.99)
    rows[20] = replace(rows[20], tier="osteoporotic", p_malignant=0.005)
    assert [one["row"] for one in contradictions(rows)] == [22, 11, 5]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"label": "osteoporotic"}, ["malignant"]),
        ({"label": "osteoporotic", "tier": "uncertain"}, []),
        ({"label": "osteoporotic", "tier": "not_assessable", "p_malignant": None}, []),
        ({"label": "osteoporotic", "tier": "", "p_malignant": 0.9}, ["malignant"]),
        ({"label": "osteoporotic", "tier": "", "p_malignant": 0.89}, []),
        ({"tier": "", "p_malignant": 0.05}, ["osteoporotic"]),
        ({"label": "intact"}, ["height_lost"]),
        ({"label": "intact", "height_loss": 0.22}, []),
        ({"label": "intact_lesion"}, ["height_lost"]),
        ({"height_loss": 0.03, "suspected": False}, ["height_kept"]),
        ({"height_loss": 0.15, "suspected": False}, []),
        ({"height_loss": None, "suspected": None}, []),
        ({"label": "excluded"}, []),
        ({"label": ""}, []),
    ],
)
def test_what_contradicts_a_label(changed: dict[str, object], says: list[str]) -> None:
    found = contradictions([replace(ROW, **changed)])  # type: ignore[arg-type]
    assert [one["says"] for one in found] == says


def test_readers_who_named_a_cause_are_counted_by_whether_they_are_against_it() -> None:
    readings = {"a": ("malignant", "osteoporotic"), "b": ("osteoporotic",), "c": ("uncertain",),
                "d": ("",), "e": ("malignant",), "f": ()}  # fmt: skip
    (one,) = contradictions([replace(ROW, label="osteoporotic", readings=readings)])
    assert one["readers"] == {"against": 2, "of": 3}


def test_the_page_names_line_level_and_all_models_that_say_so() -> None:
    vertebrae, studies = random_rows(40)
    swapped = [replace(ROW, label="osteoporotic", model=m, row=77) for m in ("ours", "theirs")]
    told = evaluation([*vertebrae, *swapped], studies, About(resamples=30))
    assert any(one["row"] == 77 for one in told["contradictions"])
    assert "contradictions" in load_schema()["required"]
    words = words_of(page(told))
    assert "77 s1 L1 osteoporotic malignant, p(malignant) 0.97 ours, theirs" in words


def test_causes_stand_before_heights_that_all_sets_of_one_chain_share() -> None:
    lost = [replace(ROW, label="intact", row=3, model=model) for model in ("ours", "theirs")]
    told = evaluation([*lost, replace(ROW, label="osteoporotic")], [], About(resamples=30))
    words = words_of(page(told))
    assert words.index("7 s1 L1 osteoporotic malignant,") < words.index("3 s1 L1 intact 30")


def test_a_page_without_any_has_no_such_table() -> None:
    words = words_of(page(evaluation([right(2)], [], About(resamples=30))))
    assert "contradict the label" not in words
