"""Vertebrae of real CT as the classifier sees them: for it, the farthest from home."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vfx_edge.inputs import load_scan
from vfx_edge.manifest import NetworkSpec
from vfx_edge.spine.classify import crop
from vfx_edge.study import Level, Vertebra, VertebraMask
from vfx_edge.vocabulary import T1_TO_L5


def real_crops(data: Path, references: Path, spec: NetworkSpec) -> dict[str, Tensor]:
    """CT -> crops (n, 1, 64, 64, 64) about the bodies wholly in view, T1 to L5.

    references: centres set by eye, {path below `data`: {vertebrae: {level: {lps_mm, whole}}}}.
    CTs that are not there are passed over.
    """
    found = {}
    for place, entry in json.loads(references.read_text(encoding="utf-8")).items():
        known = entry["vertebrae"].items()
        whole = {n: v for n, v in known if n in T1_TO_L5 and v["whole"]}
        if not whole or not (data / place).exists():
            continue
        image = load_scan(data / place).image
        crops = [crop(image, _around(n, v["lps_mm"]), spec) for n, v in whole.items()]
        found[place] = torch.from_numpy(np.stack(crops)[:, None])
    return found


def _around(level: str, lps_mm: list[float]) -> VertebraMask:
    """A place to look at; the network asks for no outline."""
    x, y, z = lps_mm
    nothing = np.zeros((1, 1, 1), np.float16)
    vertebra = Vertebra(Level(level), (x, y, z), 1.0)
    return VertebraMask(vertebra, nothing, nothing, (x, y, z), 1.0)
