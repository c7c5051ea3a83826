"""Measured signs in result.json, on the page and in the SR; and nothing of them without."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.outputs.fakes import example
from tests.outputs.page import Page
from vfx_edge.outputs.report.page import render_report
from vfx_edge.outputs.result_json import load_schema, result_to_dict
from vfx_edge.study import Analysis, Sign
from vfx_edge.vocabulary import SIGNS

GAS = Sign("gas", 1.25, "ml", None, 0.1)
CORE = Sign("core_density", -12.4, "HU", -60.0, 60.0)
WALL = Sign("convexity", None, "mm", None, 2.0, "no_neighbours")
GAP = Sign("cortical_gap", 88.0, "mm2", None, 40.0)


def with_signs(analysis: Analysis, *signs: Sign) -> Analysis:
    """Those of every suspected vertebra."""
    findings = tuple(
        replace(one, signs=signs if one.suspected_fracture else ()) for one in analysis.findings
    )
    return replace(analysis, result=replace(analysis.result, findings=findings))


def test_result_json_has_them_where_they_were_measured() -> None:
    written: Any = result_to_dict(with_signs(example(), GAS, WALL).result)
    Draft202012Validator(load_schema()).validate(written)
    having = [one for one in written["findings"] if "signs" in one]
    assert having
    assert all(one["suspected_fracture"] for one in having)
    gas, wall = having[0]["signs"]
    assert gas == {"name": "gas", "value": 1.25, "unit": "ml", "normal_low": None,
                   "normal_high": 0.1, "reason": None}  # fmt: skip
    assert (wall["value"], wall["reason"]) == (None, "no_neighbours")


def test_the_schema_knows_every_sign_and_unit() -> None:
    of: Any = load_schema()["$defs"]
    assert of["sign"]["properties"]["name"]["enum"] == list(SIGNS)
    assert set(of["sign"]["properties"]["unit"]["enum"]) == set(SIGNS.values())


def test_without_them_a_result_and_a_page_are_as_before() -> None:
    assert not any("signs" in one for one in result_to_dict(example().result)["findings"])  # type: ignore[attr-defined]
    assert "Signs, measured" not in Page(render_report(example())).text


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("Gas within the body 1.2 ml ! up to 0.1", "no whole neighbours", "-60 to 60")),
        ("de", ("Gas im Wirbelkörper 1,2 ml ! bis 0,1", "keine ganzen Nachbarn", "-60 bis 60")),
    ],
)
def test_the_card_shows_value_norm_and_what_lies_outside(
    language: str, words: tuple[str, ...]
) -> None:
    text = Page(render_report(with_signs(example(), GAS, CORE, WALL), language)).text
    shown = " ".join(text.split())
    for word in words:
        assert word in shown


def test_the_sr_has_a_coded_number_each_and_passes_the_validator(tmp_path: Path) -> None:
    pytest.importorskip("highdicom", reason="needs the extra service")
    import pydicom

    from tests.outputs.dicom.reading import groups, named, studies, validated
    from vfx_edge.outputs.dicom.sr import write_sr

    analysis, source = studies("axial", tmp_path / "ct")
    path = write_sr(with_signs(analysis, GAS, GAP, CORE, WALL), source, tmp_path / "sr.dcm")
    assert validated(path) == []
    having = [g for g in groups(pydicom.dcmread(path)) if named(g.ContentSequence, "SIGN_GAS")]
    assert len(having) == sum(bool(one.suspected_fracture) for one in analysis.findings)
    for name, value, unit in (
        ("SIGN_GAS", 1.25, "ml"),
        ("SIGN_GAP", 88.0, "mm2"),
        ("SIGN_DENSITY", -12.4, "[hnsf'U]"),
    ):
        (item,) = named(having[0].ContentSequence, name)
        measured = item.MeasuredValueSequence[0]
        assert float(measured.NumericValue) == value
        assert measured.MeasurementUnitsCodeSequence[0].CodeValue == unit
    outside = named(having[0].ContentSequence, "SIGN_OUTSIDE")
    assert [item.ConceptCodeSequence[0].CodeValue for item in outside] == [
        "SIGN_GAS",
        "SIGN_GAP",
    ]
    assert not named(having[0].ContentSequence, "SIGN_CONVEX")


def test_a_sign_without_a_value_is_neither_normal_nor_not() -> None:
    assert WALL.is_abnormal is None
    assert GAS.is_abnormal is True
    assert CORE.is_abnormal is False
    assert Sign("pedicle_left", 20.0, "%", 72.0, None).is_abnormal is True
