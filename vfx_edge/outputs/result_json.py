"""`result.json`, schema `vfx-edge/result/2`: the result as the outside world reads it.

The writer names every field on purpose: what is not written here does not leave the program.
"""

import json
import math
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from vfx_edge.files import write_text
from vfx_edge.outputs.kinds import Request
from vfx_edge.study import (
    Analysis,
    Anchor,
    Assessment,
    BackendUse,
    ByHand,
    Calibration,
    CauseNotClassified,
    Classified,
    Coverage,
    Detection,
    Explained,
    Finding,
    Heights,
    NotAssessable,
    NotClassified,
    ReaderAnswer,
    RunInfo,
    SeriesInfo,
    ServerUse,
    Sign,
    SliceAnswer,
    StudyResult,
    Triage,
)
from vfx_edge.vocabulary import STAGES

SCHEMA = "vfx-edge/result/2"
SCHEMA_OF_OTHERS = "vfx-edge/result/any-task/1"

_MM = 2
_SIGN = 2
_RATIO = 4
_SECONDS = 3
_MIB = 1


def load_schema() -> dict[str, object]:
    """The JSON Schema (draft 2020-12) that every result is valid against."""
    text = files("vfx_edge.outputs").joinpath("result.schema.json").read_text(encoding="utf-8")
    schema: dict[str, object] = json.loads(text)
    return schema


def write(request: Request) -> tuple[Path, ...]:
    """The kind `json`; of another task than triage of fractures series and run alone."""
    path = request.folder / "result.json"
    if isinstance(request.answer, Analysis):
        return (write_result_json(request.answer.result, path),)
    series, run = request.answer.scan.series, request.answer.run
    own = {stage: round(seconds, _SECONDS) for stage, seconds in run.seconds.items()}
    facts = {
        "schema": SCHEMA_OF_OTHERS,
        "series": _series(series),
        "run": {**_run(run, series.warnings), "seconds": own},
    }
    return (write_text(path, json.dumps(facts, indent=2, ensure_ascii=False) + "\n"),)


def write_result_json(result: StudyResult, path: Path) -> Path:
    """Writes `result.json`; OutputError when the place can't be written."""
    return write_text(path, result_to_json(result))


def result_to_json(result: StudyResult) -> str:
    """The file's text, ending in a line feed; also what `--json` prints."""
    return json.dumps(result_to_dict(result), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def result_to_dict(result: StudyResult) -> dict[str, object]:
    """Plain JSON values only. ValueError on a number that is not finite: a bug, not a result."""
    return {
        "schema": SCHEMA,
        "series": _series(result.series),
        "triage": _triage(result.triage),
        "findings": [_finding(finding) for finding in result.findings],
        "run": _run(result.run, result.series.warnings),
    }


def _series(series: SeriesInfo) -> dict[str, object]:
    return {
        "study_uid": series.study_uid,
        "series_uid": series.series_uid,
        "modality": series.modality,
        "slices": int(series.slices),
        "spacing_mm": [_number(edge, 4, "series.spacing_mm") for edge in series.spacing_mm],
        "orientation": series.orientation,
        "description": series.description,
        "kernel": series.kernel,
        "contrast": series.contrast,
        "others": [{"series_uid": o.series_uid, "reason": o.reason} for o in series.others],
    }


def _triage(triage: Triage) -> dict[str, object]:
    return {
        "tier": triage.tier.value,
        "recommendation": triage.recommendation,
        "levels": [level.value for level in triage.levels],
        "coverage": _coverage(triage.coverage),
    }


def _coverage(coverage: Coverage) -> dict[str, object]:
    return {
        "assessed": [level.value for level in coverage.assessed],
        "cut": [level.value for level in coverage.cut],
        "unread": [{"level": level.value, "reason": reason} for level, reason in coverage.unread],
        "complete": coverage.complete,
    }


def _finding(finding: Finding) -> dict[str, object]:
    vertebra, measured = finding.vertebra, finding.measurement
    name = vertebra.level.value
    written: dict[str, object] = {
        "level": name,
        "verse_label": vertebra.level.verse,
        "centroid_lps_mm": [
            _number(c, _MM, f"{name}.centroid_lps_mm") for c in vertebra.centroid_lps_mm
        ],
        "label_probability": _number(
            vertebra.label_probability, _RATIO, f"{name}.label_probability"
        ),
        "alternatives": [
            {"level": level.value, "probability": _number(p, _RATIO, f"{name}.alternatives")}
            for level, p in vertebra.alternatives
        ],
        "heights_mm": None if measured.heights is None else _heights(measured.heights, name),
        "height_loss": _optional(measured.height_loss, _RATIO, f"{name}.height_loss"),
        "genant_grade": None if measured.genant_grade is None else int(measured.genant_grade),
        "height_loss_range": _span(measured.height_loss_range, f"{name}.height_loss_range"),
        "genant_range": None if measured.genant_range is None else list(measured.genant_range),
        "unmeasured": measured.reason,
        "detector": _detector(measured.detection, f"{name}.detector"),
        "suspected_fracture": _flag(measured.suspected_fracture),
        "assessment": _assessment(finding.assessment, name),
    }
    signs = [_sign(sign, name) for sign in finding.signs]
    if signs:
        written = {**written, "signs": signs}
    said = finding.explained
    return written if said is None else {**written, "explanation": _explanation(said, name)}


def _sign(sign: Sign, level: str) -> dict[str, object]:
    name = f"{level}.signs.{sign.name}"
    return {
        "name": sign.name,
        "value": _optional(sign.value, _SIGN, name),
        "unit": sign.unit,
        "normal_low": _optional(sign.normal_low, _SIGN, name),
        "normal_high": _optional(sign.normal_high, _SIGN, name),
        "reason": sign.reason,
    }


def _explanation(said: Explained, name: str) -> dict[str, object]:
    return {
        "method": said.method,
        "fill": said.fill,
        "box_mm": _number(said.box_mm, _MM, f"{name}.box_mm"),
        "stride_mm": _number(said.stride_mm, _MM, f"{name}.stride_mm"),
        "places": int(said.places),
        "unlike": _optional(said.unlike, _RATIO, f"{name}.unlike"),
        "p_malignant": _number(said.p_malignant, _RATIO, f"{name}.p_malignant"),
        "largest_change": _number(said.largest_change, _RATIO, f"{name}.largest_change"),
        "largest_at_lps_mm": [
            _number(c, _MM, f"{name}.largest_at_lps_mm") for c in said.largest_at_lps_mm
        ],
    }


def _heights(heights: Heights, name: str) -> dict[str, object]:
    return {
        "anterior": _number(heights.anterior_mm, _MM, f"{name}.heights_mm.anterior"),
        "middle": _number(heights.middle_mm, _MM, f"{name}.heights_mm.middle"),
        "posterior": _number(heights.posterior_mm, _MM, f"{name}.heights_mm.posterior"),
    }


def _span(ends: tuple[float, float] | None, name: str) -> list[float] | None:
    return None if ends is None else [_number(end, _RATIO, name) for end in ends]


def _detector(said: Detection | None, name: str) -> dict[str, object] | None:
    if said is None:
        return None
    probability = _number(said.p_fractured, _RATIO, f"{name}.probability")
    return {"probability": probability, "suspected": bool(said.suspected)}


def _assessment(assessment: Assessment, name: str) -> dict[str, object]:
    match assessment:
        case Classified(tier, p_osteoporotic, p_malignant, possible, slices, parts):
            written: dict[str, object] = {
                "kind": "classified",
                "tier": tier.value,
                "probabilities": {
                    "osteoporotic": _number(p_osteoporotic, _RATIO, f"{name}.p_osteoporotic"),
                    "malignant": _number(p_malignant, _RATIO, f"{name}.p_malignant"),
                },
            }
            beside: dict[str, list[object]] = {
                "slices": [_slice(one, f"{name}.slices") for one in slices],
                "parts": [_part(one, name) for one in parts],
            }
            if possible is not None:
                written["possible"] = list(possible)
            return written | {key: told for key, told in beside.items() if told}
        case CauseNotClassified() as it:
            return {"kind": it.kind, "tier": it.tier, "reason": it.reason, "because": it.because}
        case NotClassified(reason, p_intact):
            written = {"kind": "not_classified", "reason": reason}
            if p_intact is not None:
                intact = _number(p_intact, _RATIO, f"{name}.p_intact")
                written["probabilities"] = {"intact": intact}
            return written
        case NotAssessable(reason):
            return {"kind": "not_assessable", "reason": reason}


def _part(part: ReaderAnswer, level: str) -> dict[str, object]:
    where = f"{level}.parts.{part.name}"
    return {
        "name": part.name,
        "probabilities": {
            "osteoporotic": _number(part.p_osteoporotic, _RATIO, where),
            "malignant": _number(part.p_malignant, _RATIO, where),
        },
        "missing": list(part.missing),
    }


def _slice(one: SliceAnswer, name: str) -> dict[str, object]:
    return {
        "left_mm": _number(one.left_mm, _MM, f"{name}.left_mm"),
        "osteoporotic": _number(one.p_osteoporotic, _RATIO, f"{name}.osteoporotic"),
        "malignant": _number(one.p_malignant, _RATIO, f"{name}.malignant"),
    }


def _run(run: RunInfo, series_warnings: tuple[str, ...]) -> dict[str, object]:
    return {
        "version": run.version,
        "started_at": run.started_at,
        "model_set": {"name": run.model_set, "intended_use": run.intended_use},
        "models": [{"role": m.role, "name": m.name, "sha256": m.sha256} for m in run.models],
        "backend": _backend(run.backend),
        "thresholds": {
            name: _number(value, _RATIO, f"run.thresholds.{name}")
            for name, value in run.thresholds.items()
        },
        "calibration": _calibration(run.calibration),
        "levels_by_hand": _by_hand(run.levels_by_hand),
        "seconds": _seconds(run.seconds),
        "peak_rss_mib": _number(run.peak_rss_mib, _MIB, "run.peak_rss_mib"),
        "peak_vram_mib": _optional(run.peak_vram_mib, _MIB, "run.peak_vram_mib"),
        # One list of both, each sentence once.
        "warnings": list(dict.fromkeys((*series_warnings, *run.warnings))),
    }


def _calibration(made: Calibration | None) -> dict[str, object] | None:
    if made is None:
        return None
    limits = ("coverage", "conformal_osteoporotic", "conformal_malignant")
    return {
        "name": made.name,
        "made": made.made,
        "cases": int(made.cases),
        "malignant": int(made.malignant),
        "wanted": made.wanted,
        "temperature": _number(made.temperature, _RATIO, "run.calibration.temperature"),
        **{
            name: _optional(getattr(made, name), _RATIO, f"run.calibration.{name}")
            for name in limits
        },
    }


def _by_hand(setting: ByHand | None) -> dict[str, object] | None:
    if setting is None:
        return None
    if isinstance(setting, Anchor):
        z_mm = _number(setting.z_mm, _MM, "run.levels_by_hand.anchor.z_mm")
        return {"anchor": {"level": setting.level.value, "z_mm": z_mm}}
    return {"shift": int(setting.levels)}


def _backend(backend: BackendUse) -> dict[str, object]:
    told = {} if (use := backend.server) is None else {"server": _server(use)}
    return {
        "requested": backend.requested,
        "used": backend.used,
        "device": backend.device,
        "precision": backend.precision,
        "skipped": _reasons(backend.skipped),
        "passed_over": _reasons(backend.passed_over),
        "failed": _reasons(backend.failed),
        **told,
    }


def _server(server: ServerUse) -> dict[str, object]:
    models = [{"network": m.network, "model": m.model, "version": m.version} for m in server.models]
    return {
        "address": server.address,
        "tls": server.tls,
        "software": server.software,
        "models": models,
    }


def _reasons(pairs: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"name": name, "reason": reason} for name, reason in pairs]


def _seconds(seconds: Mapping[str, float]) -> dict[str, object]:
    """Every stage of the contract: one that did not run took no time."""
    known = {stage: seconds.get(stage, 0.0) for stage in STAGES}
    known["total"] = seconds.get("total", sum(known.values()))
    return {
        stage: _number(value, _SECONDS, f"run.seconds.{stage}")
        for stage, value in {**known, **seconds}.items()
    }


def _number(value: float, digits: int, name: str) -> float:
    """A Python float (numpy's scalars are none to the JSON encoder), rounded, never -0.0."""
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value}, not a number that a result may hold")
    return round(float(value), digits) + 0.0


def _optional(value: float | None, digits: int, name: str) -> float | None:
    return None if value is None else _number(value, digits, name)


def _flag(value: bool | None) -> bool | None:
    return None if value is None else bool(value)
