"""`result.json` is what the contract says, for every result that can be."""

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError

from tests.examples import examples
from tests.outputs.fakes import MALIGNANT, RUN, SHA, example, finding_of
from tests.outputs.maps import PLACE_MM, explained
from vfx_edge.outputs.result_json import load_schema, result_to_dict, write_result_json
from vfx_edge.study import (
    BackendUse,
    Calibration,
    CauseNotClassified,
    Classified,
    Coverage,
    Detection,
    Finding,
    Heights,
    Level,
    Measurement,
    ModelUse,
    NotAssessable,
    NotClassified,
    RunInfo,
    SeriesInfo,
    ServedModel,
    ServerUse,
    SkippedSeries,
    SliceAnswer,
    StudyResult,
    Tier,
    Triage,
    Vertebra,
)
from vfx_edge.vocabulary import STAGES, Reason

VALIDATOR = Draft202012Validator(load_schema())


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(load_schema())


def test_a_map_is_told_of_and_no_voxel_of_it() -> None:
    written: Any = result_to_dict(explained(example(), T10=-0.8).result)
    VALIDATOR.validate(written)
    told = [f["explanation"] for f in written["findings"] if "explanation" in f]
    centroid = next(f["centroid_lps_mm"] for f in written["findings"] if f["level"] == "T10")
    place = [round(a + b, 2) for a, b in zip(centroid, PLACE_MM, strict=True)]
    assert told == [
        {"method": "occlusion", "fill": "median_of_tissue", "box_mm": 20.0, "stride_mm": 13.0,
         "places": 57, "unlike": 0.0, "p_malignant": 0.94, "largest_change": -0.8,
         "largest_at_lps_mm": place},
    ]  # fmt: skip


def test_a_server_that_ran_the_networks_is_told_and_no_key_without_one() -> None:
    result = example().result
    assert "server" not in result_to_dict(result)["run"]["backend"]  # type: ignore[index]
    server = ServerUse("gpu:8001", True, "triton 2.59.0", (ServedModel("seg", "seg-ab", "1"),))
    used = replace(RUN.backend, used="kserve", server=server)
    written: Any = result_to_dict(replace(result, run=replace(result.run, backend=used)))
    VALIDATOR.validate(written)
    assert written["run"]["backend"]["server"] == {
        "address": "gpu:8001",
        "tls": True,
        "software": "triton 2.59.0",
        "models": [{"network": "seg", "model": "seg-ab", "version": "1"}],
    }


def test_the_schema_knows_the_programs_names() -> None:
    definitions: Any = load_schema()["$defs"]
    assert definitions["level"]["enum"] == [level.value for level in Level]
    labels = {level.verse for level in Level}
    assert set(definitions["finding"]["properties"]["verse_label"]["enum"]) == labels
    assert set(definitions["triage"]["properties"]["tier"]["enum"]) == {t.value for t in Tier}
    assert set(definitions["run"]["properties"]["seconds"]["required"]) == {*STAGES, "total"}
    assert definitions["reason"]["examples"] == list(Reason)


def test_every_field_of_the_contract() -> None:
    result = example().result
    written = result_to_dict(result)
    VALIDATOR.validate(written)
    findings: Any = written["findings"]
    malignant = next(f for f in findings if f["level"] == "T10")
    assert malignant == {
        "level": "T10",
        "verse_label": 17,
        "centroid_lps_mm": malignant["centroid_lps_mm"],
        "label_probability": 0.97,
        "alternatives": [],
        "heights_mm": malignant["heights_mm"],
        "height_loss": 0.38,
        "genant_grade": 2,
        "height_loss_range": [0.28, 0.48],
        "genant_range": [2, 3],
        "unmeasured": None,
        "detector": None,
        "suspected_fracture": True,
        "assessment": {
            "kind": "classified",
            "tier": "malignant",
            "probabilities": {"osteoporotic": 0.06, "malignant": 0.94},
        },
    }
    unclassified = next(f for f in findings if f["level"] == "T12")
    assert unclassified["assessment"] == {
        "kind": "not_classified",
        "tier": "uncertain",
        "reason": "cause_not_classified",
        "because": "level_outside_model_range",
    }
    triage: Any = written["triage"]
    assert triage["coverage"] == {
        "assessed": ["T7", "T8", "T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4"],
        "cut": ["T6"],
        "unread": [{"level": "L5", "reason": "metal"}],
        "complete": False,
    }
    assert list(malignant["heights_mm"]) == ["anterior", "middle", "posterior"]
    run: Any = written["run"]
    assert run["backend"]["skipped"][1] == {"name": "cuda", "reason": "no NVIDIA driver"}
    assert [one["name"] for one in run["backend"]["passed_over"]] == ["tensorrt"]
    assert run["backend"]["failed"] == [{"name": "tensorrt-rtx", "reason": "the GPU was lost"}]
    assert run["model_set"] == {"name": "default", "intended_use": "demonstration"}
    assert run["models"][0] == {"role": "locator", "name": "locator-unet", "sha256": SHA}
    assert run["calibration"] is None
    assert run["peak_vram_mib"] is None
    assert run["warnings"] == [*result.series.warnings, *result.run.warnings]


def test_cannot_tell_is_null_and_never_no() -> None:
    findings: Any = result_to_dict(example().result)["findings"]
    cut_off = findings[0]
    for field in ("heights_mm", "height_loss", "genant_grade", "suspected_fracture"):
        assert cut_off[field] is None
    assert cut_off["assessment"] == {"kind": "not_assessable", "reason": "truncated"}


def test_a_stage_that_did_not_run_took_no_time() -> None:
    result = replace(example().result, run=replace(RUN, seconds={"read": 1.23456}))
    run: Any = result_to_dict(result)["run"]
    assert set(run["seconds"]) == {*STAGES, "total"}
    assert run["seconds"]["read"] == 1.235
    assert run["seconds"]["locate"] == 0.0
    assert run["seconds"]["total"] == 1.235


def test_the_same_warning_is_said_once() -> None:
    result = example().result
    repeated = (*result.series.warnings, "Other.")
    run: Any = result_to_dict(replace(result, run=replace(RUN, warnings=repeated)))["run"]
    assert run["warnings"] == list(repeated)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_a_bug_that_is_named(value: float) -> None:
    finding = finding_of(Level.T10, (0.0, 0.0, value), MALIGNANT)
    with pytest.raises(ValueError, match=r"T10\.centroid_lps_mm"):
        result_to_dict(replace(example().result, findings=(finding,)))


def test_numpy_scalars_become_plain_json(tmp_path: Path) -> None:
    result = example().result
    odd = Measurement(
        Heights(np.float32(20.123), np.float32(20.0), np.float32(21.0)),  # type: ignore[arg-type]
        height_loss=float(np.float64(0.05)),
        genant_grade=np.int64(0),  # type: ignore[arg-type]
        suspected_by_heights=np.bool_(False),  # type: ignore[arg-type]
    )
    first = replace(result.findings[0], measurement=odd)
    path = write_result_json(replace(result, findings=(first,)), tmp_path / "result.json")
    read = json.loads(path.read_text(encoding="utf-8"))
    VALIDATOR.validate(read)
    assert read["findings"][0]["heights_mm"]["anterior"] == 20.12
    assert read["findings"][0]["suspected_fracture"] is False


def test_nothing_identifies_a_patient(tmp_path: Path) -> None:
    text = write_result_json(example().result, tmp_path / "r.json").read_text().lower()
    assert not any(word in text for word in ("patient", "birth", "physician", "accession"))


WRONG: list[tuple[tuple[str | int, ...], object]] = [
    (("extra",), 1),
    (("schema",), "vfx-edge/result/1"),
    (("triage", "coverage", "complete"), None),
    (("triage", "coverage", "unread"), ["L5"]),
    (("series", "orientation"), "diagonal"),
    (("series", "patient_name"), "Doe^Jane"),
    (("triage", "tier"), "benign"),
    (("triage", "levels"), ["L9"]),
    (("findings", 0, "level"), "S1"),
    (("findings", 0, "suspected_fracture"), "no"),
    (("findings", 0, "label_probability"), 1.2),
    (("findings", 0, "assessment"), {"kind": "not_assessable"}),
    (("findings", 0, "assessment"), {"kind": "healthy", "reason": "x"}),
    (("findings", 0, "assessment"), {"kind": "not_classified", "reason": "cause_not_classified"}),
    (("findings", 0, "alternatives"), ["T12"]),
    (("run", "models", 0, "sha256"), "abc"),
    (("run", "seconds", "total"), -1),
    (("run", "peak_rss_mib"), None),
]


@pytest.mark.parametrize(("where", "value"), WRONG)
def test_the_schema_refuses(where: tuple[str | int, ...], value: object) -> None:
    written: Any = deepcopy(result_to_dict(example().result))
    place = written
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    with pytest.raises(ValidationError):
        VALIDATOR.validate(written)


words = st.text(min_size=1, max_size=20)
ratios = st.floats(0, 1)
millimetres = st.floats(0, 1e4)
points = st.tuples(*[st.floats(-1e4, 1e4)] * 3)
levels = st.sampled_from(list(Level))
assessments = st.one_of(
    st.builds(
        Classified,
        tier=st.sampled_from([Tier.MALIGNANT, Tier.UNCERTAIN, Tier.OSTEOPOROTIC]),
        p_osteoporotic=ratios,
        p_malignant=ratios,
        possible=st.none()
        | st.lists(st.sampled_from(["osteoporotic", "malignant"]), unique=True).map(tuple),
        slices=st.lists(st.builds(SliceAnswer, millimetres, ratios, ratios), max_size=2).map(tuple),
    ),
    st.builds(CauseNotClassified, because=words),
    st.builds(NotClassified, reason=words, p_intact=st.none() | ratios),
    st.builds(NotAssessable, reason=words),
)
measurements = st.builds(
    Measurement,
    heights=st.none() | st.builds(Heights, millimetres, millimetres, millimetres),
    height_loss=st.none() | ratios,
    genant_grade=st.none() | st.integers(0, 3),
    suspected_by_heights=st.none() | st.booleans(),
    detection=st.none() | st.builds(Detection, p_fractured=ratios, suspected=st.booleans()),
)
findings_ = st.builds(
    Finding,
    vertebra=st.builds(
        Vertebra,
        level=levels,
        centroid_lps_mm=points,
        label_probability=ratios,
        alternatives=st.lists(st.tuples(levels, ratios), max_size=2).map(tuple),
    ),
    measurement=measurements,
    assessment=assessments,
)
results = st.builds(
    StudyResult,
    series=st.builds(
        SeriesInfo,
        study_uid=st.text(max_size=64),
        series_uid=st.text(max_size=64),
        modality=st.just("CT"),
        slices=st.integers(1, 5000),
        spacing_mm=st.tuples(*[st.floats(0.001, 20)] * 3),
        orientation=st.sampled_from(["axial", "sagittal", "coronal", "oblique"]),
        description=st.text(max_size=20),
        kernel=st.none() | words,
        contrast=st.none() | st.booleans(),
        others=st.lists(st.builds(SkippedSeries, words, words), max_size=3).map(tuple),
        warnings=st.lists(words, max_size=2).map(tuple),
    ),
    triage=st.builds(
        Triage,
        tier=st.sampled_from(list(Tier)),
        recommendation=words,
        levels=st.lists(levels, max_size=4, unique=True).map(tuple),
        coverage=st.builds(
            Coverage,
            assessed=st.lists(levels, max_size=4, unique=True).map(tuple),
            cut=st.lists(levels, max_size=2, unique=True).map(tuple),
            unread=st.lists(st.tuples(levels, words), max_size=2).map(tuple),
        ),
    ),
    findings=st.lists(findings_, max_size=4).map(tuple),
    run=st.builds(
        RunInfo,
        version=words,
        started_at=words,
        model_set=words,
        intended_use=words,
        models=st.lists(st.builds(ModelUse, words, words, st.just(SHA)), max_size=2).map(tuple),
        backend=st.builds(
            BackendUse,
            requested=words,
            used=words,
            device=st.text(max_size=9),
            precision=st.text(max_size=9),
            skipped=st.lists(st.tuples(words, words), max_size=2).map(tuple),
        ),
        seconds=st.dictionaries(st.sampled_from(STAGES), st.floats(0, 1e5)),
        peak_rss_mib=millimetres,
        peak_vram_mib=st.none() | millimetres,
        warnings=st.lists(words, max_size=2).map(tuple),
        thresholds=st.dictionaries(words, ratios, max_size=2),
        calibration=st.none()
        | st.builds(
            Calibration,
            name=words,
            made=st.just("2026-03-01"),
            cases=st.integers(1, 999),
            malignant=st.integers(1, 999),
            wanted=words,
            temperature=st.floats(0.05, 20),
            coverage=st.none() | ratios,
        ),
    ),
)


@examples(120)
@given(results)
def test_every_result_is_valid_and_survives_json(result: StudyResult) -> None:
    written = result_to_dict(result)
    VALIDATOR.validate(written)
    assert json.loads(json.dumps(written, allow_nan=False)) == written
