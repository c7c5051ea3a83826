"""Which data the shipped networks were trained on, and how each piece becomes a case.

`data` is a folder laid out like the one described in the model card; nothing of it is shipped.
"""

import json
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from models.recipes import paint, pseudo, segmenter
from models.recipes.cases import Labelled
from models.recipes.plausible import plausible
from models.recipes.shapes import ARCH, Case, load_case, on_grid
from vfx_edge.inputs import load_scan
from vfx_edge.spine.body_and_arch import centroids
from vfx_edge.study import Level
from vfx_edge.vocabulary import SACRUM

SPACING_MM = 1.5
ABDOMEN = "ct_abdomen_3mm_labelled"
CROP = "crop_l3_1p5mm/sub-ct"
VERSE = ("verse005", "verse006", "verse008")
SHAPES = (
    ("sub-sample001_seg-vert_msk", "sub-sample001_seg-subreg_msk"),
    ("sub-verse004_seg-vert_msk", None),
    ("verse005_seg_verse", None),
    ("verse010_seg_verse", None),
    ("gl003_seg_verse", None),
    ("gl017_seg_verse", None),
    ("sub-verse009_seg-vert_msk", None),
)
BONE_HU = 160
NEARBY_VOXELS = ((14, 14), (20, 40), (45, 45))  # about a body's centre: before and behind, z, y, x
NEAR_MM = 7.0  # a pseudo-mask's body this near to the annotated centre corrects it


def masked_ct(data: Path) -> Iterator[Labelled]:
    """The CTs that come with masks."""
    abdomen = load_case(
        ABDOMEN, data / ABDOMEN / "seg-vert_msk.nii.gz", data / ABDOMEN / "ct.nii.gz", SPACING_MM
    )
    abdomen.verse[abdomen.verse == Level.T11.verse] = 0  # a sliver at the scan's end
    centres = segmenter.body_centres(abdomen)
    centres[SACRUM] = centroids(abdomen.verse)[SACRUM]
    yield Labelled(abdomen, centres, real=True, expert=True)
    crop = load_case(
        CROP.split("/")[0],
        data / f"{CROP}_seg-vert_label-22_msk.nii.gz",
        data / f"{CROP}_label-22_ct.nii.gz",
        SPACING_MM,
        data / f"{CROP}_seg-subreg_label-22_msk.nii.gz",
    )
    yield Labelled(crop, segmenter.body_centres(crop), real=True, expert=True)
    for name in VERSE:
        mask, ct = data / name / "seg-vert_msk.nii.gz", data / name / "ct.nii.gz"
        case = load_case(name, mask, ct, SPACING_MM)
        yield Labelled(case, segmenter.body_centres(case), real=True, expert=True)


def named_ct(data: Path, references: Path) -> Iterator[Labelled]:
    """Every CT whose levels are known, as the labeller wants it: centres and, in place of masks,
    what is bone near the spine."""
    for path, entry in json.loads(references.read_text(encoding="utf-8")).items():
        grid, hu = on_grid(load_scan(data / path).image, SPACING_MM)
        centres = {
            SACRUM if n == "S1" else Level(n).verse: grid.to_zyx(np.array(v["lps_mm"]))
            for n, v in entry["vertebrae"].items()
        }
        bone = _bone_near(hu, centres)
        name, origin = path.split("/")[0], np.array(grid.origin_lps_mm)
        yield Labelled(Case(name, SPACING_MM, origin, hu, bone, bone.copy()), centres, real=True)


def _bone_near(hu: np.ndarray, centres: dict[int, np.ndarray]) -> np.ndarray:
    """(z, y, x) uint8: 1 where it is as dense as bone, and near a vertebra."""
    near = np.zeros(hu.shape, np.bool_)
    for at in centres.values():
        box = [
            slice(max(0, int(c - before)), max(0, int(c + behind)))
            for c, (before, behind) in zip(at, NEARBY_VOXELS, strict=True)
        ]
        near[tuple(box)] = True
    return (near & (hu > BONE_HU)).astype(np.uint8)


def painted_shapes(data: Path, copies: int, seed: int) -> Iterator[Labelled]:
    """Expert masks without CT, each painted `copies` times."""
    rng = np.random.default_rng(seed)
    for mask, parts in SHAPES:
        folder = data / "shapes"
        subregions = folder / f"{parts}.nii.gz" if parts else None
        shape = load_case(mask, folder / f"{mask}.nii.gz", None, SPACING_MM, subregions)
        padded = paint.pad_case(shape, 18)
        for copy in range(copies):
            case = replace(paint.paint(padded, rng), name=f"{mask.split('_')[0]}{copy}")
            yield Labelled(case, segmenter.body_centres(case), real=False)


def annotated_ct(
    data: Path, references: Path, checkpoint: Path, without: Collection[str] = ()
) -> Iterator[Labelled]:
    """CT with centres set by eye; masks by the segmenter so far (self-training)."""
    net = segmenter.network(checkpoint)
    for path, entry in json.loads(references.read_text(encoding="utf-8")).items():
        name = path.split("/")[0]
        if name in (ABDOMEN, CROP.split("/")[0], *VERSE, *without):  # those have masks
            continue
        grid, hu = on_grid(load_scan(data / path).image, SPACING_MM)
        given = {
            level: grid.to_zyx(np.array(v["lps_mm"])) for level, v in entry["vertebrae"].items()
        }
        wanted = {Level(n).verse: at for n, at in given.items() if n not in ("C1", "S1")}
        case = pseudo.label_case(net, name, hu, SPACING_MM, np.array(grid.origin_lps_mm), wanted)
        yield Labelled(case, _checked_centres(case, entry["vertebrae"], given), real=True)


def _checked_centres(
    case: Case, entry: dict[str, dict[str, bool]], given: dict[str, np.ndarray]
) -> dict[int, np.ndarray]:
    """Centres in view; masks that are none are taken out of the case."""
    named = {Level(n).verse: n for n in given if n not in ("C1", "S1")}
    seen = segmenter.body_centres(case)
    kept = plausible(case, {v: seen[v] for v in named if v in seen})
    case.keep_only(kept)
    centres = {
        v: _middle(seen[v], given[n], entry[n]["whole"]) for v, n in named.items() if v in kept
    }
    for name, label in (("C1", 1), ("S1", SACRUM)):
        if name in given:
            _mark_bone(case, label, given[name])
            centres[label] = given[name]
    size = np.array(case.verse.shape)
    return {v: at for v, at in centres.items() if ((at >= 0) & (at < size)).all()}


def _middle(seen: np.ndarray, given: np.ndarray, whole: bool) -> np.ndarray:
    """A centre set by eye, corrected by the mask's if that is near enough to be the same body's."""
    if not whole:
        return seen
    if np.linalg.norm(seen - given) * SPACING_MM < NEAR_MM:
        return np.asarray((given + 2 * seen) / 3)
    return given


def _mark_bone(case: Case, label: int, at: np.ndarray) -> None:
    """Bone about the centre of C1 or S1, which the segmenter was never shown, gets its label."""
    assert case.hu is not None
    z, y, x = (
        (axis - c) * SPACING_MM
        for axis, c in zip(np.ogrid[tuple(map(slice, case.verse.shape))], at, strict=True)
    )
    if label == SACRUM:
        near = (np.hypot(z, y) < 14) & (np.abs(x) < 22) & (case.hu > 60)
    else:  # the ring of C1 lies about 12 mm behind its anterior arch's centre
        near = (np.abs(z) < 7) & (np.hypot(y - 8 * SPACING_MM, x) < 24) & (case.hu > 150)
    near &= case.verse == 0
    case.verse[near] = label
    case.part[near] = ARCH
