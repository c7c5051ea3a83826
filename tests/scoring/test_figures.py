"""Rows -> evaluation.json: the study's own tables, and whatever can be computed of odd rows."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from sklearn import metrics

from tests.examples import examples
from tests.scoring.cohorts import ONE, TWO, random_rows, study_rows
from vfx_edge.labelled.dataset import Problem
from vfx_edge.scoring.about import About
from vfx_edge.scoring.figures import evaluation, load_schema
from vfx_edge.scoring.rows import StudyRow, VertebraRow

VALIDATOR = Draft202012Validator(load_schema())
ABOUT = About("a dataset", resamples=50)


def evaluated(
    vertebrae: Sequence[VertebraRow], studies: Sequence[StudyRow] = (), about: About = ABOUT
) -> Any:
    """evaluation.json as another program reads it, checked against its schema."""
    found = json.loads(json.dumps(evaluation(vertebrae, studies, about), allow_nan=False))
    VALIDATOR.validate(found)
    return found


@pytest.fixture(scope="module")
def study() -> Any:
    return evaluated(*study_rows())


def percent(share: float) -> int:
    return round(100 * share)


@pytest.mark.parametrize(
    ("split", "model", "approach", "right", "sensitivity", "specificity", "balanced"),
    [
        ("test", ONE, ONE, (70, 86), 78, 86, 0.82),
        ("external", ONE, ONE, (46, 65), 74, 67, 0.70),
        ("test", TWO, TWO, (73, 86), 82, 89, 0.85),
        ("external", TWO, TWO, (49, 65), 80, 70, 0.75),
        ("test", TWO, f"{TWO}, told apart", (60, 66), 94, 87, 0.91),
        ("external", TWO, f"{TWO}, told apart", (39, 50), 86, 67, 0.76),
    ],
)
def test_the_studys_tables(
    study: Any, split: str, model: str, approach: str, right: tuple[int, int], sensitivity: int,
    specificity: int, balanced: float,
) -> None:  # fmt: skip
    figures = study["splits"][split]["models"][model]["classification"]["approaches"][approach]
    assert (figures["accuracy"]["count"], figures["accuracy"]["of"]) == right
    assert percent(figures["sensitivity"]["value"]) == sensitivity
    assert percent(figures["specificity"]["value"]) == specificity
    assert round(figures["balanced_accuracy"]["value"], 2) == balanced
    assert figures["balanced_accuracy"]["value"] != figures["auc"]["value"] or model == ONE


@pytest.mark.parametrize(
    ("split", "uncertain", "missed", "readers"),
    [
        ("test", (20, 86), (2, 49), [0.69, 0.71, 0.86]),
        ("external", (15, 65), (4, 35), [0.70, 0.71, 0.71]),
    ],
)
def test_the_studys_third_tier_and_readers(
    study: Any, split: str, uncertain: tuple[int, int], missed: tuple[int, int],
    readers: list[float],
) -> None:  # fmt: skip
    said = study["splits"][split]["models"][TWO]["classification"]
    share, wrong = said["share_uncertain"], said["malignant_called_osteoporotic"]
    assert (share["count"], share["of"]) == uncertain
    assert (wrong["count"], wrong["of"]) == missed
    found = [round(one["balanced_accuracy"]["value"], 2) for one in said["readers"].values()]
    assert found == readers
    answered = {one["on_answered"]["n"] for one in said["readers"].values()}
    assert answered == {uncertain[1] - uncertain[0]}


def test_the_top_is_the_first_models_and_sets_are_pooled_there(study: Any) -> None:
    assert study["about"]["models"] == [TWO, ONE]
    assert study["classification"] == study["models"][TWO]["classification"]
    assert study["classification"]["n"] == 86 + 65
    assert study["classification"]["share_uncertain"]["count"] == 20 + 15


def test_models_and_readers_are_compared_on_what_both_have(study: Any) -> None:
    pairs = {(one["one"], one["other"]): one for one in study["comparisons"]}
    assert len(pairs) == 1 + 2 * 3
    models = pairs[TWO, ONE]
    assert models["n"] == 151
    assert 0 < models["p_value"] < 0.05
    assert models["difference"]["value"] == pytest.approx(models["auc_one"] - models["auc_other"])
    # of two values alone, the area is the balanced accuracy
    reader = study["classification"]["readers"]["2 years"]["balanced_accuracy"]
    assert pairs[ONE, "reader 2 years"]["auc_other"] == pytest.approx(reader["value"])


def test_agreement_between_and_within_readers(study: Any) -> None:
    agreement = study["splits"]["test"]["models"][TWO]["classification"]["agreement"]
    assert len(agreement["between"]) == 3
    # each reader read 10 + 10 again, and changed the last one of each ten
    assert {(one["n"], one["same"]) for one in agreement["within"]} == {(20, 18)}
    assert agreement["all_readers"]["n"] == 86


def test_subgroups_make_up_the_whole(study: Any) -> None:
    groups = study["classification"]["subgroups"]
    for kind in ("level_group", "level", "sex", "age", "contrast", "scanner"):
        assert sum(group["n"] for group in groups[kind]) == 151, kind
    assert [group["name"] for group in groups["level"]] == ["T7", "T11", "T12", "L1", "L3"]
    assert [group["name"] for group in groups["level_group"]] == ["T1–T10", "T11–L1", "L2–L6"]
    assert groups["gold_standard"] == []
    for group in groups["level"]:
        assert group["small"] == (min(group["malignant"], group["osteoporotic"]) < 10)


def test_the_roc_curve_ends_where_it_must_and_has_the_readers(study: Any) -> None:
    roc = study["classification"]["roc"]
    ends = [(p["false_positive_rate"], p["true_positive_rate"]) for p in roc["curve"]]
    assert (ends[0], ends[-1]) == ((0, 0), (1, 1))
    kinds = [point["kind"] for point in roc["points"]]
    assert kinds == ["forced", "told_apart", "reader", "reader", "reader"]


def test_tiers_decide_what_is_told_apart_and_an_open_reading_is_no_call() -> None:
    def case(level: str, label: str, tier: str, p: float | None, *calls: str) -> VertebraRow:
        readings = {"anna": calls} if calls else {}
        return VertebraRow("m", level, "", "test", level, label, p_malignant=p, tier=tier,
                           readings=readings)  # fmt: skip

    said = evaluated([
        case("T5", "malignant", "malignant", None, "malignant"),
        case("T6", "malignant", "osteoporotic", 0.6, "uncertain"),
        case("T7", "osteoporotic", "osteoporotic", 0.55, "osteoporotic"),
        case("T8", "osteoporotic", "uncertain", 0.5),
        case("T9", "osteoporotic", "not_assessable", None, ""),
    ])["classification"]  # fmt: skip
    every, apart = said["approaches"].values()
    assert every["confusion"] == {"true_positive": 1, "false_positive": 2, "true_negative": 0,
                                  "false_negative": 0}  # fmt: skip
    assert apart["confusion"] == {"true_positive": 1, "false_positive": 0, "true_negative": 1,
                                  "false_negative": 1}  # fmt: skip
    assert said["unanswered"] == {"not_assessable": 1}
    assert (said["share_uncertain"]["count"], said["share_uncertain"]["of"]) == (1, 4)
    anna = said["readers"]["anna"]
    assert [anna[key] for key in ("n", "ranked", "uncertain", "unread")] == [2, 3, 1, 2]
    assert anna["auc"]["value"] == 1.0
    assert anna["sensitivity"]["of"] == 1


def test_intact_vertebrae_that_are_seen_intact_are_right_and_fractures_missed() -> None:
    def row(level: str, label: str, tier: str, reason: str = "") -> VertebraRow:
        return VertebraRow("m", level, "", "test", level, label, tier=tier, reason=reason,
                           suspected=True)  # fmt: skip

    said = evaluated([
        row("T5", "malignant", "malignant"), row("T6", "malignant", "", "intact"),
        row("T7", "osteoporotic", "uncertain"), row("T8", "osteoporotic", "not_assessable"),
        row("T9", "intact", "", "intact"), row("T10", "intact", "osteoporotic"),
        row("T11", "intact", "", "no_fracture_suspected"),
    ])["classification"]  # fmt: skip
    counts = {name: (of["count"], of["of"]) for name, of in said["seen_intact"].items()}
    assert counts == {"fractured": (1, 3), "intact": (1, 2), "intact_lesion": (None, None)}
    assert said["unanswered"] == {"intact": 1, "not_assessable": 1}
    assert said["malignant_called_malignant"]["of"] == 2  # it stays a case


def test_detection_and_outlines_count_what_was_missed() -> None:
    base = VertebraRow(
        "m", "s", "p", "test", "T8", "", whole=True, called="T8", identified=True,
        distance_mm=2.0, named_distance_mm=2.0, dice=0.9, assd_mm=1.0, place_dice=0.9,
    )  # fmt: skip
    misnamed = replace(base, level="T9", called="T10", identified=False, distance_mm=4.0,
                       named_distance_mm=None, dice=0.0, assd_mm=None, place_dice=0.8)  # fmt: skip
    missed = replace(misnamed, level="T10", called="", distance_mm=None, named_distance_mm=29.0,
                     place_dice=None)  # fmt: skip
    cut = replace(missed, level="T11", whole=False)
    found = evaluated([base, misnamed, missed, cut])
    assert found["detection"] | {"id_rate_interval": None} == {
        "vertebrae": 3, "found": 2, "identified": 1, "id_rate": 1 / 3, "id_rate_interval": None,
        "d_mean_mm": 15.5, "named": 2, "distance_mm": 3.0, "doubled": 0, "invented": 0,
        "why": None,
    }  # fmt: skip
    outlines = found["outlines"]
    assert outlines["dice"] == {"all": pytest.approx(0.3), "T8": 0.9, "T9": 0.0, "T10": 0.0}
    assert outlines["dice_of_found"] == {"all": 0.9, "T8": 0.9, "T9": None, "T10": None}
    assert outlines["dice_in_place"]["all"] == pytest.approx(0.85)
    assert outlines["missing"] == {"all": 2, "T8": 0, "T9": 1, "T10": 1}
    assert outlines["assd_mm"]["all"] == 1.0


def test_one_case_a_patient_is_the_first_line_of_the_file() -> None:
    rows = [
        VertebraRow("m", "s", "p", "test", "L1", "malignant", row=9, p_malignant=0.9),
        VertebraRow("m", "s", "p", "test", "T5", "intact", row=2),
        VertebraRow("m", "s", "p", "test", "L2", "osteoporotic", row=3, p_malignant=0.1),
    ]
    both = evaluated(rows)
    assert both["classification"]["n"] == 2
    assert any("2 cases come from 1 patients" in note for note in both["notes"])
    first = evaluated(rows, about=replace(ABOUT, one_per_patient=True))["classification"]
    assert (first["malignant"], first["osteoporotic"]) == (0, 1)
    assert first["not_cases"] == {"intact": 1}


def test_failures_problems_and_unanswered_cases_are_named() -> None:
    rows = [VertebraRow("m", "s", "p", "test", "L1", "malignant", reason="failed")]
    studies = [StudyRow("m", "s", "p", "test", "malignant", failure="No CT; send it again.")]
    about = replace(ABOUT, problems=(Problem(7, "line 7: no such study."),))
    found = evaluated(rows, studies, about)
    assert found["failures"] == [{"study": "s", "reason": "No CT; send it again.", "model": "m"}]
    assert found["problems"] == [{"row": 7, "sentence": "line 7: no such study."}]
    assert found["classification"]["unanswered"] == {"failed": 1}
    assert found["verdicts"] == {"malignant": {"failed": 1}}


def test_the_figures_are_scikit_learns() -> None:
    rows = random_rows(300, models=("m",))[0]
    said = evaluated(rows)["classification"]
    own = [row for row in rows if row.label in ("malignant", "osteoporotic")]
    with_p = [row for row in own if row.p_malignant is not None]
    truth, p = [row.label == "malignant" for row in with_p], [row.p_malignant for row in with_p]
    figures = said["approaches"]["m"]
    called = [one >= 0.5 for one in p if one is not None]
    assert figures["auc"]["value"] == pytest.approx(metrics.roc_auc_score(truth, p), abs=1e-9)
    for name, score in {
        "accuracy": metrics.accuracy_score, "sensitivity": metrics.recall_score,
        "ppv": metrics.precision_score, "balanced_accuracy": metrics.balanced_accuracy_score,
    }.items():  # fmt: skip
        assert figures[name]["value"] == pytest.approx(score(truth, called), abs=1e-9)
    brier = metrics.brier_score_loss(truth, p)
    assert said["calibration"]["brier"] == pytest.approx(brier, abs=1e-9)
    both = [row for row in own if row.readings and row.tier]
    kappa = metrics.cohen_kappa_score(
        [row.tier for row in both], [row.readings["anna"][0] for row in both]
    )
    assert said["agreement"]["with_model"][0]["kappa"]["value"] == pytest.approx(kappa, abs=1e-9)


def test_cases_of_one_patient_count_as_fewer() -> None:
    rows = random_rows(60, models=("m",), per_patient=6)[0]
    alone = [replace(row, patient=f"{row.patient}-{i}") for i, row in enumerate(rows)]
    shared, single = (evaluated(of)["classification"]["approaches"]["m"] for of in (rows, alone))
    assert shared["accuracy"]["value"] == single["accuracy"]["value"]
    assert "patients as" in shared["accuracy"]["method"]
    assert shared["balanced_accuracy"]["method"].endswith("over 10 patients")
    assert single["auc"]["method"].startswith("DeLong")


def test_agreement_and_a_perfect_score_know_of_patients_too() -> None:
    """Each patient has three cases of which all is the same: they count as one."""
    base = random_rows(40, models=("m",), per_patient=1)[0]
    rows = [
        replace(row, study=f"{row.study}-{i}", label=("malignant", "osteoporotic")[at % 2],
                p_malignant=0.9 - 0.8 * (at % 2), tier="", genant=at % 4, height_loss=0.3,
                readings={name: (("malignant", "osteoporotic")[(at // n) % 2],)
                          for name, n in (("a", 2), ("b", 3), ("c", 5))})
        for at, row in enumerate(base) for i in range(3)
    ]  # fmt: skip
    one, three = (evaluated(of) for of in (rows[::3], rows))
    for of in ("between", "all_readers"):
        single, shared = (every_value(said["classification"]["agreement"][of])
                          for said in (one, three))  # fmt: skip
        for alone, same in zip(single, shared, strict=True):
            assert same["value"] == pytest.approx(alone["value"], abs=0.02)
            assert same["low"] == pytest.approx(alone["low"], abs=0.03)
            assert "40 patients" in same["method"]
    sure = [said["classification"]["approaches"]["m"]["balanced_accuracy"] for said in (one, three)]
    assert sure[0]["value"] == 1
    assert sure[0]["low"] == pytest.approx(sure[1]["low"], abs=1e-9)


def every_value(found: Any) -> list[Any]:
    """All figures with an interval, wherever they stand."""
    if isinstance(found, dict):
        own = [found] if {"value", "low", "method"} <= found.keys() else []
        return own + [one for value in found.values() for one in every_value(value)]
    return [one for value in found for one in every_value(value)] if isinstance(found, list) else []


@pytest.mark.parametrize("label", ["malignant", "osteoporotic", "intact", ""])
def test_of_one_class_alone_what_can_be_computed_is(label: str) -> None:
    rows = [replace(row, label=label) for row in random_rows(20)[0]]
    said = evaluated(rows)["classification"]["approaches"]["ours"]
    assert said["auc"]["value"] is None
    assert said["auc"]["why"].endswith(".")
    known = {"malignant": "sensitivity", "osteoporotic": "specificity"}.get(label)
    for name in ("sensitivity", "specificity"):
        assert (said[name]["value"] is not None) == (name == known)


def test_identical_scores_are_worth_nothing_and_no_error() -> None:
    rows = [replace(row, p_malignant=0.5, tier="malignant") for row in random_rows(60)[0]]
    found = evaluated(rows)
    assert found["classification"]["approaches"]["ours"]["auc"]["value"] == 0.5
    assert found["comparisons"][0]["p_value"] in (None, 1.0)
    assert found["classification"]["calibration"]["slope"] is None


ODD = st.builds(
    VertebraRow,
    model=st.sampled_from(["a", "b"]), study=st.sampled_from("stu"), patient=st.sampled_from("pq"),
    split=st.sampled_from(["test", "external", "train", ""]),
    level=st.sampled_from(["T5", "L1", "C3", ""]),
    label=st.sampled_from(["malignant", "osteoporotic", "intact", "excluded", ""]),
    genant=st.sampled_from([None, 0, 3]), age=st.none() | st.floats(0, 120),
    readings=st.dictionaries(st.sampled_from("xyz"), st.lists(
        st.sampled_from(["", "malignant", "uncertain", "osteoporotic"]), max_size=2).map(tuple)),
    whole=st.none() | st.booleans(), called=st.sampled_from(["", "T5"]),
    distance_mm=st.none() | st.floats(0, 20), identified=st.none() | st.booleans(),
    dice=st.none() | st.floats(0, 1), height_loss=st.none() | st.floats(-1, 1),
    suspected=st.none() | st.booleans(), p_malignant=st.none() | st.sampled_from([0.0, 0.5, 1.0]),
    tier=st.sampled_from(["", "malignant", "osteoporotic", "uncertain", "not_assessable"]),
)  # fmt: skip


@examples(25)
@given(rows=st.lists(ODD, max_size=10))
def test_no_rows_are_too_odd(rows: list[VertebraRow]) -> None:
    found = evaluated(rows, about=replace(ABOUT, resamples=10))
    for one in every_value(found):
        assert one["value"] is not None or one["why"].endswith(".")
