"""The task of this product, as `tasks` wants it: from a scan to a triage of its vertebrae."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vfx_edge.study import Analysis, ByHand, Level, Scan
from vfx_edge.vocabulary import THORACOLUMBAR

if TYPE_CHECKING:
    from vfx_edge.backends import OpenModels
    from vfx_edge.manifest import ModelManifest
    from vfx_edge.timing import OnStage


@dataclass(frozen=True)
class Options:
    """levels: that count for the verdict, or their names. classify: "suspected", "all", or the
    levels that go to the classifier. segmentation: a mask's file in place of the chain's own
    outlines. levels_by_hand: a person's word on the names."""

    levels: Sequence[Level | str] = THORACOLUMBAR
    classify: str | tuple[Level, ...] = "suspected"
    segmentation: Path | None = None
    levels_by_hand: ByHand | None = None


def roles(manifest: "ModelManifest", options: Options) -> tuple[str, ...]:
    """The networks that the chain asks with this set. RoleMissing."""
    if options.segmentation is not None:  # nothing is located, named or outlined
        return ("classifier",)
    joint = manifest.network("segmenter").window is not None
    return tuple(role for role in manifest.roles if not (joint and role == "finder"))


def analyze(scan: Scan, models: "OpenModels", options: Options, on_stage: "OnStage") -> Analysis:
    """The chain. Raises VfxError leaves."""
    from vfx_edge.spine import chain

    asked = chain.Options(
        levels=tuple(Level(level) for level in options.levels),
        classify=options.classify,
        levels_by_hand=options.levels_by_hand,
    )
    if options.segmentation is not None:
        from vfx_edge.inputs.segmentation import read_segmentation

        given = read_segmentation(options.segmentation, scan)
        asked = replace(
            asked,
            segmentation=given.labels,
            segmentation_named=given.named,
            remarks=given.remarks,
        )
    return chain.analyze(scan, models, asked, on_stage)
