"""The chain from a scan to a triage with perfect networks: what is left is our own arithmetic."""

import dataclasses
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from msgspec import structs

from tests.fake_backend import Function
from tests.spine.coded import Coded, blind, coded, oracle
from tests.spine.nets import models, network, spec_of
from tests.spine.world import FACTS, turned
from vfx_edge.backends import OpenModels
from vfx_edge.errors import InputError
from vfx_edge.fracture_task import Options, roles
from vfx_edge.manifest import DetectorParameters, NetworkSpec
from vfx_edge.outputs.labels import label_map
from vfx_edge.outputs.result_json import load_schema, result_to_dict
from vfx_edge.phantom import Part
from vfx_edge.spine import chain
from vfx_edge.spine.chain import ChainOptions, analyze
from vfx_edge.spine.locate import NoSpineInView
from vfx_edge.spine.plausible import ScanLook
from vfx_edge.study import (
    THORACOLUMBAR,
    Analysis,
    CauseNotClassified,
    Classified,
    Finding,
    Level,
    Measurement,
    NotAssessable,
    NotClassified,
    Scan,
    Shift,
    Tier,
    tier_of,
)
from vfx_edge.vocabulary import T1_TO_L5

CONTRACT = {"read", "locate", "label", "segment", "measure", "classify", "write",
            "total"}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def coded_voxels_pass_for_tissue() -> Iterator[None]:
    """What a coded scan's voxels say is not what tissue has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain, "look_at_scan", lambda *_: ScanLook())
        yield


@pytest.fixture(scope="module")
def scan() -> Coded:
    return coded(wedges=("L1",), lesions=("L1",))


@pytest.fixture(scope="module")
def analysis(scan: Coded) -> Analysis:
    return analyze(scan.scan, models(oracle))


def by_level(analysis: Analysis) -> dict[str, Finding]:
    return {f.vertebra.level.value: f for f in analysis.result.findings}


def check_places(scan: Coded, analysis: Analysis, within_mm: float = 1.5) -> None:
    """Every vertebra wholly in view is there once, under its name, at its place."""
    findings = by_level(analysis)
    assert len(findings) == len(analysis.result.findings)
    for truth in scan.made.truth.levels:
        if truth.whole_in_view:
            found = np.array(findings[truth.level].vertebra.centroid_lps_mm)
            assert np.linalg.norm(found - scan.centre(truth.level)) < within_mm, truth.level
    ranks = [f.vertebra.level.rank for f in analysis.result.findings]
    assert ranks == sorted(ranks)


def test_places_and_names(scan: Coded, analysis: Analysis) -> None:
    check_places(scan, analysis)
    wanted = [t.level for t in scan.made.truth.levels if t.whole_in_view]
    assert set(wanted) <= set(by_level(analysis))


def test_the_wedge_is_suspected_and_nothing_else(analysis: Analysis) -> None:
    suspected = [k for k, f in by_level(analysis).items() if f.measurement.suspected_fracture]
    assert suspected == ["L1"]
    assert by_level(analysis)["L1"].measurement.genant_grade in (2, 3)


def test_what_the_scan_cuts_is_not_assessable(scan: Coded, analysis: Analysis) -> None:
    cut = {t.level for t in scan.made.truth.levels if not t.whole_in_view} & set(by_level(analysis))
    assert cut
    for level in cut:
        finding = by_level(analysis)[level]
        assert finding.assessment == NotAssessable("truncated")
        assert finding.measurement.heights is None
        assert not finding.vertebra.wholly_in_view
    cover = analysis.result.triage.coverage
    assert {level.value for level in cover.cut} == cut
    assert cover.complete
    assert {level.value for level in cover.assessed} == set(by_level(analysis)) - cut


def test_the_lesion_drives_the_triage(analysis: Analysis) -> None:
    assert isinstance(by_level(analysis)["L1"].assessment, Classified)
    assert analysis.result.triage.tier == Tier.MALIGNANT
    assert analysis.result.triage.levels == (Level.L1,)
    assert by_level(analysis)["L2"].assessment == NotClassified("no_fracture_suspected")


def test_without_a_lesion_it_is_osteoporotic() -> None:
    plain = coded(wedges=("L1",))
    triage = analyze(plain.scan, models(oracle)).result.triage
    assert (triage.tier, triage.levels) == (Tier.OSTEOPOROTIC, (Level.L1,))


def test_stages_run_in_order_and_are_timed(scan: Coded) -> None:
    told: list[str] = []
    seconds = analyze(
        Scan(scan.volume, FACTS), models(oracle), on_stage=told.append
    ).result.run.seconds
    assert told == ["locate", "label", "segment", "measure", "classify"]
    assert set(seconds) == CONTRACT
    assert seconds["total"] == pytest.approx(sum(v for k, v in seconds.items() if k != "total"))
    assert all(seconds[name] > 0 for name in told)


def test_what_is_known_of_the_run(analysis: Analysis) -> None:
    run = analysis.result.run
    assert [use.role for use in run.models] == ["locator", "finder", "labeller", "segmenter",
                                                "classifier"]  # fmt: skip
    assert run.backend.used == "fake"
    assert set(run.thresholds) == {"height_loss", "malignant", "osteoporotic"}
    assert 0 < run.thresholds["height_loss"] < 1


def test_only_the_levels_that_were_asked_for_are_judged(scan: Coded) -> None:
    options = ChainOptions(levels=(Level.L2, Level.L3))
    result = analyze(scan.scan, models(oracle), options).result
    assert result.triage.tier == Tier.NONE_SUSPECTED
    assert not any(isinstance(f.assessment, Classified) for f in result.findings)


def test_all_or_named_ones_go_to_the_classifier(scan: Coded) -> None:
    some = by_level(analyze(scan.scan, models(oracle), ChainOptions(classify=(Level.L3,))))
    assert [k for k, f in some.items() if isinstance(f.assessment, Classified)] == ["L3"]
    assert some["L1"].assessment == CauseNotClassified("not_requested")
    every = by_level(analyze(scan.scan, models(oracle), ChainOptions(classify="all")))
    whole = [t.level for t in scan.made.truth.levels if t.whole_in_view]
    assert {k for k, f in every.items() if isinstance(f.assessment, Classified)} == set(whole)


def seeing(*p: float) -> Function:
    """The oracle, with a classifier that answers so to every crop."""

    def function(spec: NetworkSpec, batch: np.ndarray) -> np.ndarray:
        return np.tile(p, (len(batch), 1)) if "classifier" in spec.roles else oracle(spec, batch)

    return function


def of_four() -> NetworkSpec:
    """A classifier with the class intact, and names of its own."""
    own = spec_of("classifier")
    output = structs.replace(
        own.output, classes=("odd", "healthy", "metastasis", "benign"), activation="none"
    )
    meant = {"odd": "unknown", "healthy": "intact", "metastasis": "malignant",
             "benign": "osteoporotic"}  # fmt: skip
    return structs.replace(own, output=output, renamed=meant)


def test_where_the_classifier_sees_no_fracture_there_is_none_and_that_is_said(
    scan: Coded, analysis: Analysis
) -> None:
    """L1 has lost height: it stays listed, and drives nothing; the all clear says why."""
    found = analyze(scan.scan, models(seeing(0.0, 0.9, 0.1, 0.0), classifier=of_four())).result
    here = {f.vertebra.level: f for f in found.findings}[Level.L1]
    assert here.measurement == by_level(analysis)["L1"].measurement
    assert here.measurement.suspected_fracture
    assert here.seen_intact
    assert found.triage.tier == Tier.NONE_SUSPECTED
    assert Level.L1 in found.triage.coverage.assessed
    assert "At L1 height or detector spoke for a fracture" in found.triage.recommendation
    assert found.run.thresholds["intact"] == 0.5
    found = dataclasses.replace(found, series=dataclasses.replace(FACTS, slices=9))
    written: Any = result_to_dict(found)
    Draft202012Validator(load_schema()).validate(written)
    (assessment,) = [f["assessment"] for f in written["findings"] if f["level"] == "L1"]
    assert assessment == {"kind": "not_classified", "reason": "intact",
                          "probabilities": {"intact": 0.9}}  # fmt: skip


def test_networks_may_ask_for_any_axes(scan: Coded, analysis: Analysis) -> None:
    """A manifest in other axes gives the same result: no stage knows a network by name."""
    odd = models(
        oracle,
        locator=spec_of("locator", orientation="LAS", patch_zyx=(48, 48, 64)),
        finder=spec_of("finder", orientation="RPI", transpose=(2, 0, 1), patch_zyx=(64, 48, 48)),
        labeller=spec_of("labeller", orientation="IAR"),
        segmenter=spec_of(
            "segmenter", orientation="RAI", transpose=(1, 2, 0), patch_zyx=(72, 56, 64)
        ),
        classifier=spec_of("classifier", orientation="PIR"),
    )
    got = analyze(scan.scan, odd)
    assert got.result.findings == analysis.result.findings


TILT = np.eye(4)
TILT[:3, :3] = turned((14.0, 0.0, 0.0)) @ np.eye(3)[::-1]
TILT[:3, 3] = (-310.0, 45.0, 1200.0)


@pytest.mark.parametrize(("move", "thick"), [(TILT, 1), (np.eye(4), 2)], ids=["tilted", "thick"])
def test_tilted_and_thick_scans(move: np.ndarray, thick: int) -> None:
    scan = coded(wedges=("L1",), lesions=("L1",), move=move, thick=thick)
    analysis = analyze(scan.scan, models(oracle))
    check_places(scan, analysis, 2.0)
    assert Level.L1 in analysis.result.triage.levels


def test_masks_lie_on_the_bone(scan: Coded, analysis: Analysis) -> None:
    for mask in analysis.masks:
        truth = scan.made.truth.get(mask.vertebra.level.value)
        if not truth.whole_in_view:
            continue
        mine = (scan.made.labels == truth.label) & (scan.made.parts == Part.BODY)
        true_cm3 = mine.sum() * 1.5**3 / 1000
        cm3 = float((mask.body > 0.5).sum()) * mask.spacing_mm**3 / 1000
        assert cm3 == pytest.approx(true_cm3, rel=0.12)


def test_no_spine_in_view(scan: Coded) -> None:
    with pytest.raises(NoSpineInView) as caught:
        analyze(scan.scan, models(blind))
    assert isinstance(caught.value, InputError)
    assert caught.value.exit_code == 3
    assert str(caught.value).startswith("no spine was found in the scan: ")
    assert "choose such a series with --series" in str(caught.value)


def test_a_neck_alone_is_no_spine_in_view() -> None:
    neck = coded(levels=("C3", "C6"))
    seen: list[str] = []
    with pytest.raises(NoSpineInView, match="no vertebra from T1 to L5 is in view"):
        analyze(neck.scan, models(oracle), on_stage=seen.append)
    assert seen[-1] == "segment"


def test_the_neck_is_named_and_outlined_only_on_request() -> None:
    scan = coded(levels=("C6", "T2")).scan
    usual = analyze(scan, models(oracle))
    drawn = {mask.vertebra.level for mask in usual.masks if mask.is_outlined}
    named = by_level(usual)
    assert set(named) - drawn >= {Level.C6}
    assert drawn >= {Level.C7, Level.T1, Level.T2}
    assert set(np.unique(label_map(scan.image, usual.masks))) == {0, *(v.verse for v in drawn)}
    unlined = named[Level.C6]
    assert unlined.measurement == Measurement(None, None, None, None, "not_outlined")
    found = dataclasses.replace(usual.result, series=dataclasses.replace(FACTS, slices=9))
    Draft202012Validator(load_schema()).validate(result_to_dict(found))
    whole = by_level(analyze(scan, models(oracle), ChainOptions(outline=tuple(Level))))
    gap = np.subtract(whole["C6"].vertebra.centroid_lps_mm, unlined.vertebra.centroid_lps_mm)
    assert np.linalg.norm(gap) < 3
    for level in (Level.T1, Level.T2):
        assert whole[level].measurement == named[level].measurement
    for asked in (
        ChainOptions(levels=(Level.C6, *THORACOLUMBAR)),
        ChainOptions(classify=(Level.C6,)),
        ChainOptions(levels_by_hand=Shift(1)),
    ):
        assert asked.outlined(Level.C6)


def test_a_given_segmentation_needs_the_classifier_alone(scan: Coded, analysis: Analysis) -> None:
    opened = models(oracle)
    only = {"classifier": opened.networks["classifier"]}
    opened = type(opened)(opened.manifest, only, opened.backend, opened.uses)
    told: list[str] = []
    labels = np.where(scan.made.parts <= Part.POSTERIOR, scan.made.labels, 0).astype(np.uint8)
    given = analyze(scan.scan, opened, ChainOptions(segmentation=labels), told.append)
    assert told == ["segment", "measure", "classify"]
    assert given.result.triage == analysis.result.triage
    for level, finding in by_level(analysis).items():
        gap = np.subtract(finding.vertebra.centroid_lps_mm,
                          by_level(given)[level].vertebra.centroid_lps_mm)  # fmt: skip
        assert np.linalg.norm(gap) < 2.0


def test_a_failing_stage_is_still_timed() -> None:
    from vfx_edge.timing import StageClock

    clock = StageClock()
    with suppress(ValueError), clock.stage("measure"):
        raise ValueError
    assert clock.seconds["measure"] > 0


def with_detector(opened: OpenModels, function: Function) -> OpenModels:
    """The same with a network that tells fractures; its crop is the classifier's."""
    like = opened.networks["classifier"].spec
    spec = structs.replace(
        like,
        roles=("detector",),
        parameters=(DetectorParameters(threshold=0.75, levels=T1_TO_L5),),
        output=structs.replace(like.output, classes=("intact", "fractured"), activation="none"),
    )
    manifest = structs.replace(opened.manifest, networks=(*opened.manifest.networks, spec))
    networks = {**opened.networks, "detector": network(spec, function)}
    return dataclasses.replace(opened, manifest=manifest, networks=networks)


def test_a_detector_is_another_door_to_the_classifier(scan: Coded, analysis: Analysis) -> None:
    """It is asked about every vertebra in view and suspects the third: that goes to the
    classifier besides the wedge, and counts."""

    answers = iter([0.25, 0.25, 0.875, *[0.25] * 20])

    def third(_: NetworkSpec, batch: np.ndarray) -> np.ndarray:
        p = np.array([next(answers) for _ in batch])
        return np.stack([1 - p, p], 1)

    opened = with_detector(models(oracle), third)
    answered = analyze(scan.scan, opened)
    asked = [f for f in answered.findings if f.measurement.detection is not None]
    assessed = [f.vertebra.level for f in analysis.findings
                if f.measurement.suspected_by_heights is not None]  # fmt: skip
    assert [f.vertebra.level for f in asked] == [k for k in assessed if k in T1_TO_L5]
    assert asked[2].measurement.suspected_fracture
    assert not asked[2].measurement.suspected_by_heights
    assert tier_of(asked[2].assessment) is not None
    assert answered.run.thresholds["detector"] == 0.75
    assert "detector" in roles(opened.manifest, Options())
    assert roles(opened.manifest, Options(segmentation="mask.nii.gz")) == ("detector", "classifier")
    assert "detector" not in analysis.run.thresholds
