"""A case that a person corrected, kept for training: the mask they drew, or the names they set."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vfx_edge.errors import InputError
from vfx_edge.study import BackendRequest, ByHand, Level, OnStage, Scan, Vertebra, VertebraMask


class NoVertebraGiven(InputError):
    """The mask holds no vertebra that could be measured."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path.name} outlines no whole body of a vertebra: give a mask of vertebrae, not of "
            "the sacrum or of parts alone."
        )


@dataclass(frozen=True)
class Correction:
    """What was corrected: a mask, the names, or both; and where the case goes. `subject` None:
    a pseudonym made from the series."""

    path: Path
    folder: Path
    segmentation: Path | None = None
    levels_by_hand: ByHand | None = None
    series: str | None = None
    subject: str | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Kept:
    """The case that was written. files: CT, mask, centroids. levels: head to feet."""

    files: tuple[Path, ...]
    levels: tuple[Level, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Case:
    labels: NDArray[np.uint8]
    vertebrae: tuple[Vertebra, ...]
    remarks: tuple[str, ...]


def keep(
    correction: Correction,
    backend: str | BackendRequest = "auto",
    model: str = "default",
    on_stage: OnStage | None = None,
) -> Kept:
    """Writes the case in VerSe's layout. Networks run only where no mask is given. VfxError
    leaves."""
    begin_stage = on_stage or (lambda _: None)
    begin_stage("read")
    from vfx_edge.inputs import load_scan
    from vfx_edge.outputs.corrected import check_free, pseudonym, write_case

    scan = load_scan(correction.path, correction.series)
    name = correction.subject or pseudonym(scan.series)
    check_free(correction.folder, name, overwrite=correction.overwrite)
    if correction.segmentation is None:
        case = _by_the_chain(scan, correction.levels_by_hand, backend, model, begin_stage)
    else:
        begin_stage("segment")
        case = _as_drawn(scan, correction.segmentation, correction.levels_by_hand)
    begin_stage("write")
    files = write_case(scan.image, case.labels, case.vertebrae, correction.folder, name)
    return Kept(files, tuple(v.level for v in case.vertebrae), case.remarks)


def is_subject(name: str) -> bool:
    """Whether BIDS allows it as a subject's name."""
    return re.fullmatch("[A-Za-z0-9]{1,40}", name) is not None


def _by_the_chain(
    scan: Scan,
    by_hand: ByHand | None,
    backend: str | BackendRequest,
    model: str,
    begin_stage: OnStage,
) -> _Case:
    """The chain's own outlines under the names that the person set."""
    from vfx_edge.backends import open_models
    from vfx_edge.manifest import load_model_set
    from vfx_edge.outputs.labels import label_map
    from vfx_edge.spine.chain import ChainOptions, analyze

    with open_models(load_model_set(model), backend) as models:
        options = ChainOptions(levels_by_hand=by_hand, outline=tuple(Level))
        found = models.answer(lambda: analyze(scan, models, options, begin_stage))
    labels = label_map(scan.image, found.masks)
    return _Case(labels, _vertebrae(found.masks), found.result.run.warnings)


def _as_drawn(scan: Scan, path: Path, by_hand: ByHand | None) -> _Case:
    """The mask voxel for voxel, only its numbers changed."""
    from vfx_edge.inputs.segmentation import read_segmentation
    from vfx_edge.spine.levels_by_hand import renamed
    from vfx_edge.spine.name_check import name_remarks
    from vfx_edge.spine.segment import masks_from_labels

    given = read_segmentation(path, scan)
    drawn = masks_from_labels(scan.image, given.labels)
    if not drawn:
        raise NoVertebraGiven(path)
    masks = renamed(drawn, by_hand)
    remarks = name_remarks(masks, settled=given.named or by_hand is not None)
    labels = given.labels
    if by_hand is not None:
        labels, left_out = _renumbered(labels, drawn, masks)
        remarks += left_out
    return _Case(labels, _vertebrae(masks), (*given.remarks, *remarks))


def _renumbered(
    labels: NDArray[np.uint8], drawn: tuple[VertebraMask, ...], masks: tuple[VertebraMask, ...]
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Sacrum and coccyx stay; what was too small to be renamed is left out."""
    former = {id(mask.body): mask.vertebra.level.verse for mask in drawn}
    table = np.zeros(256, np.uint8)
    table[[26, 27]] = 26, 27
    for mask in masks:
        table[former[id(mask.body)]] = mask.vertebra.level.verse
    lost = [Level.from_verse(n) for n in np.unique(labels).tolist() if n and not table[n]]
    named = ", ".join(lost)
    remarks = (f"Hardly anything is outlined of {named}, which was left out.",) if lost else ()
    return table[labels], remarks


def _vertebrae(masks: tuple[VertebraMask, ...]) -> tuple[Vertebra, ...]:
    return tuple(mask.vertebra for mask in masks)
