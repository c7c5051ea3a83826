"""A template as a person fills it in."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vfx_edge.manifest.writing import manifest_text

HEAD = {
    "name": "mine",
    "version": "1",
    "intended_use": "research",
    "licence": "CC0",
    "training_data": "noise",
    "summary": "A test.",
}
NETWORK = {
    "name": "Tiny",
    "input.spacing_mm": 1.5,
    "input.orientation": "SPL",
    "input.hu_clip": [-1000.0, 1500.0],
    "input.hu_offset": 0.0,
    "input.hu_scale": 1000.0,
    "input.padding_hu": -1024.0,
    "output.activation": "softmax",
}
CLASSES = {
    "locator": ("background", "spine"),
    "finder": ("centre",),
    "labeller": ("background", "T12", "L1"),
    "segmenter": ("background", "body", "arch"),
    "detector": ("intact", "fractured"),
    "classifier": ("osteoporotic", "malignant", "unknown"),
    "joint": ("background", "T12", "L1"),
}
PARAMETERS = {
    "backward_mm": 10.0,
    "guide_sigma_mm": 8.0,
    "levels": ["T12", "L1"],
    "threshold": 0.5,
    "threshold_malignant": 0.85,
    "threshold_osteoporotic": 0.95,
}


def filled(template: Path, role: str, values: Mapping[str, Any] | None = None) -> Path:
    """Plain answers in place of what stands in <…>; what the template knows is left.

    values: keys of [[network]] such as "input.patch_zyx" that are answered otherwise, or of the
    head where they begin with a dot.
    """
    head = tomllib.loads(template.read_text("utf-8"))
    (network,) = head.pop("network")
    answers = {**NETWORK, **{f"parameters.{k}": v for k, v in PARAMETERS.items()}}
    answers["output.classes"] = CLASSES[role]
    for path, value in answers.items():
        table, _, key = path.rpartition(".")
        place = network.get(table, {}) if table else network
        if key in place and "<" in str(place[key]):
            place[key] = value
    for path, value in (values or {}).items():
        table, _, key = path.rpartition(".")
        place = head if path.startswith(".") else network[table] if table else network
        place[key] = value
    del head["schema"]
    template.write_text(manifest_text({**head, **HEAD}, [network]), "utf-8")
    return template
