"""A `result.json` of `vfx-edge run`, and the masks beside it, in place of a run."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from vfx_edge.errors import InputError
from vfx_edge.outputs.result_json import SCHEMA
from vfx_edge.scoring.answers import Positive, Seen
from vfx_edge.scoring.features import features_beside
from vfx_edge.scoring.json_file import read_json
from vfx_edge.study import Scan, Tier
from vfx_edge.vocabulary import Level

MASKS = "*_seg-vert_msk.nii.gz"
MOST_FINDINGS = 100


class ResultUnreadable(InputError):
    """The file is no result of `vfx-edge run`."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path.name} of the study is no result of `vfx-edge run` ({why}): run the study "
            f"again, and keep its result.json, of schema {SCHEMA}."
        )


class ResultMissing(InputError):
    """The folder of results has none of this study."""

    def __init__(self) -> None:
        super().__init__(
            "the folder of --results holds no <study>/result.json and no <study>.json of this "
            "study: run it, or take it out of labels.csv."
        )


@dataclass(frozen=True, eq=False)
class Result:
    """labels: (z, y, x) VerSe labels on the scan's grid; None where no masks were kept. failure:
    why there are no findings."""

    seen: tuple[Seen, ...]
    tier: str
    labels: NDArray[np.uint8] | None
    seconds: float | None = None
    failure: str = ""


def result_of(folder: Path, study: str) -> Path:
    """Where the study's result lies. ResultMissing."""
    home = Path(os.path.realpath(folder))  # unlike Path's own, it bears circles and long names
    for path in (folder / study / "result.json", folder / f"{study}.json"):
        if home in Path(os.path.realpath(path)).parents and os.path.isfile(path):
            return path
    raise ResultMissing


def read_result(path: Path, scan: Scan) -> Result:
    """ResultUnreadable, and what the masks beside it may raise."""
    try:
        facts = read_json(path)
        if facts["schema"] != SCHEMA:
            raise ResultUnreadable(path, "its schema is another one")
        cut = facts["triage"]["coverage"]["cut"]
        if len(facts["findings"]) > MOST_FINDINGS:
            raise ValueError("no spine has so many vertebrae")
        features = features_beside(path)
        seen = tuple(
            replace(one, features={**features.get(one.level, {}), **one.features})
            for one in (_seen(finding, cut) for finding in facts["findings"])
        )
        tier = Tier(facts["triage"]["tier"])
        seconds = msgspec.convert(facts["run"]["seconds"]["total"], Positive)
    except OSError as error:
        raise ResultUnreadable(path, error.strerror or type(error).__name__) from None
    except (ValueError, msgspec.ValidationError):
        raise ResultUnreadable(path, "it is no JSON, or a value is none that is known") from None
    except (KeyError, TypeError, AttributeError, OverflowError):
        raise ResultUnreadable(path, "a field is missing") from None
    return Result(seen, tier, _labels(path, scan), seconds)


def _labels(path: Path, scan: Scan) -> NDArray[np.uint8] | None:
    """Of the masks in the result's own folder."""
    from vfx_edge.inputs.segmentation import load_segmentation

    masks = sorted(path.parent.glob(MASKS)) if path.name == "result.json" else []
    return load_segmentation(masks[0], scan) if len(masks) == 1 else None


def _seen(finding: dict[str, Any], cut: list[str]) -> Seen:
    heights = finding["heights_mm"] or dict.fromkeys(("anterior", "middle", "posterior"))
    assessment = finding["assessment"]
    kind = assessment["kind"]
    chances = assessment.get("probabilities") or {}
    tier = "not_assessable" if kind == "not_assessable" else assessment.get("tier", "")
    facts = {
        "level": Level(finding["level"]).value,
        "lps_mm": finding["centroid_lps_mm"],
        "probability": finding["label_probability"],
        "whole": finding["level"] not in cut,
        "anterior_mm": heights["anterior"],
        "middle_mm": heights["middle"],
        "posterior_mm": heights["posterior"],
        "height_loss": finding["height_loss"],
        "suspected": finding["suspected_fracture"],
        "p_osteoporotic": chances.get("osteoporotic"),
        "p_malignant": chances.get("malignant"),
        "p_malignant_slices": [one["malignant"] for one in assessment.get("slices", ())],
        "tier": tier,
        "reason": assessment.get("because") or assessment.get("reason") or "",
        "features": _signs(finding),
    }
    return msgspec.convert(facts, Seen)


def _signs(finding: dict[str, Any]) -> dict[str, Any]:
    """Of a run that measured them: those that have a value, as features `sign_<name>`."""
    signs = finding.get("signs", ())
    return {f"sign_{one['name']}": one["value"] for one in signs if one["value"] is not None}
