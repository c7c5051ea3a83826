"""The real CTs with masks: outlines by the whole chain, and by the segmenter alone."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.recipes.scorecard.chain import Fold, analysed, choose, opened
from models.recipes.scorecard.real import Row, Say
from vfx_edge.backends import OpenModels
from vfx_edge.evaluation.matching import Place, compare, findings_of
from vfx_edge.evaluation.overlap import likeness
from vfx_edge.image import Image
from vfx_edge.inputs import load_scan
from vfx_edge.inputs.segmentation import load_segmentation
from vfx_edge.outputs.labels import label_map
from vfx_edge.spine.segment import masks_from_labels, segment_vertebrae
from vfx_edge.study import Level, Scan, Vertebra, VertebraMask

ABDOMEN, CROP = "ct_abdomen_3mm_labelled", "crop_l3_1p5mm"
VERSE = ("verse005", "verse006", "verse008")
FILES = ("ct.nii.gz", "seg-vert_msk.nii.gz")
CROP_FILES = ("sub-ct_label-22_ct.nii.gz", "sub-ct_seg-vert_label-22_msk.nii.gz")
CROP_LEVEL = Level.L3

Labels = NDArray[np.uint8]


def score_masks(
    data: Path, model: Path, folds: tuple[Fold, ...], backend: str, say: Say
) -> dict[str, Any]:
    """{"abdomen", "verse005" …: rows per vertebra by the whole chain, "crop": L3 by the segmenter
    alone}."""
    out: dict[str, Any] = {}
    for key, item, (ct, mask), roles, outlined in (
        ("abdomen", ABDOMEN, FILES, None, _whole_chain),
        *((name, name, FILES, None, _whole_chain) for name in VERSE),
        ("crop", CROP, CROP_FILES, ("segmenter",), _alone),
    ):
        chosen = choose(item, folds, model, role="segmenter")
        scan = load_scan(data / item / ct)
        truth = load_segmentation(data / item / mask, scan)
        with opened(chosen.folder, backend, roles) as models:
            rows = outlined(scan, truth, models)
        named = {"name": item, "note": chosen.note, "trained_on": chosen.trained_on}
        out[key] = {**named, "rows": rows}
        say(f"masks: {item}: " + ", ".join(f"{r['level']} {r['dice']:.3f}" for r in rows))
    return out


def _whole_chain(scan: Scan, truth: Labels, models: OpenModels) -> list[Row]:
    """Every vertebra of the reference that is wholly in view, against the finding in its place."""
    known = masks_from_labels(scan.image, truth)
    places = {
        m.vertebra.level.value: Place(m.vertebra.centroid_lps_mm, m.vertebra.wholly_in_view)
        for m in known
    }
    analysis, _ = analysed(scan, models)
    findings = findings_of(analysis) if analysis else []
    masks = analysis.masks if analysis else ()
    pairing = compare(findings, places).finding_of
    return [
        _row(scan.image, truth, name, masks[pairing[name]] if name in pairing else None)
        for name, place in places.items()
        if place.whole
    ]


def _alone(scan: Scan, truth: Labels, models: OpenModels) -> list[Row]:
    """The segmenter, told the centres of the bodies."""
    known = [m.vertebra for m in masks_from_labels(scan.image, truth)]
    vertebrae = [Vertebra(v.level, v.centroid_lps_mm, 1.0) for v in known]
    masks = segment_vertebrae(scan.image, vertebrae, models.network("segmenter"))
    mine = next((m for m in masks if m.vertebra.level == CROP_LEVEL), None)
    return [_row(scan.image, truth, CROP_LEVEL.value, mine)]


def _row(image: Image, truth: Labels, name: str, mask: VertebraMask | None) -> Row:
    """A finding's outline against the reference's, on the reference's grid."""
    true = truth == Level(name).verse
    mine = label_map(image, (mask,)) > 0 if mask else np.zeros_like(true)
    alike = likeness(mine, true, tuple(float(v) for v in image.spacing_zyx_mm))
    return {"level": name, "called": mask.vertebra.level.value if mask else None, **asdict(alike)}
