"""The task of this product, as `tasks` wants it: from a scan to a triage of its vertebrae."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from vfx_edge.errors import UsageError
from vfx_edge.study import (
    NOTHING_KNOWN,
    Analysis,
    Anchor,
    ByHand,
    Clinical,
    Level,
    OnStage,
    Scan,
    Shift,
)
from vfx_edge.vocabulary import OPTIONAL_ROLES, ROLES, THORACOLUMBAR, level_named, level_range

if TYPE_CHECKING:
    from vfx_edge.backends import OpenModels
    from vfx_edge.manifest import ModelManifest

CLASSIFY_WORDS = ("suspected", "all")


class OptionsInvalid(UsageError):
    """An option of the task that makes no sense."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name} can't be used: {why}.")


@dataclass(frozen=True)
class Options:
    """levels: that count for the verdict: "T12-L2", or their names. classify: "suspected", "all",
    or the levels that go to the classifier; what it answers for a vertebra that has lost no height
    counts for the verdict, too. A level that is named goes there even where its heights can't be
    read. segmentation: a mask's file in place of the chain's own outlines.
    levels_by_hand: a person's word on the names. signs: whether those of suspected vertebrae are
    measured. explain: whether to map what each answer of the classifier depends on, place by
    place. clinical: facts of the patient, or the file that holds them (`inputs/clinical.py`), for
    a set with a tabular network; the file is read as the options are made, so that a wrong one is
    told before any scan is read. OptionsInvalid, ClinicalUnreadable."""

    levels: str | Sequence[Level | str] = THORACOLUMBAR
    classify: str | Sequence[Level | str] = "suspected"
    segmentation: str | PathLike[str] | None = None
    levels_by_hand: ByHand | None = None
    signs: bool = False
    explain: bool = False
    clinical: Clinical | str | PathLike[str] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _levels("levels", self.levels)
        if self.classify not in CLASSIFY_WORDS:
            _levels("classify", self.classify)
        if not isinstance(self.levels_by_hand, Shift | Anchor | None):
            raise OptionsInvalid("levels_by_hand", "give a Shift or an Anchor of vfx_edge.study")
        object.__setattr__(self, "clinical", _clinical(self.clinical))

    @property
    def known(self) -> Clinical:
        """What was given of the patient."""
        return self.clinical if isinstance(self.clinical, Clinical) else NOTHING_KNOWN


def _levels(option: str, given: str | Sequence[Level | str]) -> tuple[Level, ...]:
    try:
        return level_range(given) if isinstance(given, str) else tuple(map(level_named, given))
    except (ValueError, TypeError, AttributeError) as error:
        raise OptionsInvalid(option, str(error)) from None


def roles(manifest: "ModelManifest", options: Options) -> tuple[str, ...]:
    """The networks that the chain asks with this set. RoleMissing."""
    if options.segmentation is not None:  # nothing is located, named or outlined
        unasked: tuple[str, ...] = ("locator", "finder", "labeller", "segmenter")
    else:
        unasked = ("finder",) if manifest.network("segmenter").window is not None else ()
    unasked += tuple(role for role in OPTIONAL_ROLES if role not in manifest.roles)
    return tuple(role for role in ROLES if role not in unasked)


def analyze(scan: Scan, models: "OpenModels", options: Options, on_stage: OnStage) -> Analysis:
    """The chain. Raises VfxError leaves."""
    from vfx_edge.spine import chain

    word = options.classify in CLASSIFY_WORDS
    asked = chain.ChainOptions(
        levels=_levels("levels", options.levels),
        classify=str(options.classify) if word else _levels("classify", options.classify),
        levels_by_hand=options.levels_by_hand,
        signs=options.signs,
        explain=options.explain,
        clinical=options.known,
    )
    if options.segmentation is not None:
        from vfx_edge.inputs.segmentation import read_segmentation

        given = read_segmentation(Path(options.segmentation), scan)
        asked = replace(
            asked,
            segmentation=given.labels,
            segmentation_named=given.named,
            remarks=given.remarks,
        )
    return chain.analyze(scan, models, asked, on_stage)


def _clinical(given: "Clinical | str | PathLike[str] | None") -> Clinical | None:
    if given is None or isinstance(given, Clinical):
        return given
    from vfx_edge.inputs.clinical import read_clinical

    if not isinstance(given, str | PathLike):
        raise OptionsInvalid("clinical", "give a Clinical of vfx_edge.study, or the file's path")
    return read_clinical(Path(given))
