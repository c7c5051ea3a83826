"""Training cases on disk: one .npz each, so that recipes can share and resume them."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.recipes.shapes import Case
from vfx_edge.files import replacing

WRITTEN = "[!.]*.npz"  # files that are being written begin with a dot


@dataclass(frozen=True, eq=False)
class Labelled:
    """A case with HU and the centres of its vertebral bodies.

    centres: VerSe label (26: S1) -> (z, y, x) in voxels. real: comes from a patient's CT.
    expert: its masks are no network's of this recipe. masked: it has such; where centres alone are
    known, all bone near the spine is labelled 1.
    """

    case: Case
    centres: dict[int, np.ndarray]
    real: bool
    expert: bool = False
    masked: bool = True


def write_missing(
    folder: Path, name: str, seeds: Iterable[int], make: Callable[[int], Labelled]
) -> None:
    """<name>_<seed>.npz for each seed that is not there yet; complete files only."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        path = folder / f"{name}_{seed:05d}.npz"
        if not path.exists():
            save(path, make(seed))


def save(path: Path, labelled: Labelled) -> None:
    """Write a case; a running training never sees half a file."""
    case = labelled.case
    assert case.hu is not None
    labels = sorted(labelled.centres)
    with replacing(path) as temporary:
        np.savez(
            temporary,
            name=case.name,
            spacing_mm=case.spacing_mm,
            origin=case.origin_lps_mm,
            hu=case.hu,
            verse=case.verse,
            part=case.part,
            soft=np.zeros(0, np.uint8) if case.soft is None else case.soft,
            labels=np.array(labels, dtype=np.int64),
            points=np.array([labelled.centres[v] for v in labels]).reshape(-1, 3),
            real=labelled.real,
            expert=labelled.expert,
        )


def load(path: Path) -> Labelled:
    with np.load(path, allow_pickle=False) as d:
        arrays = (d["origin"], d["hu"], d["verse"], d["part"])
        soft = d["soft"] if "soft" in d and d["soft"].size else None
        case = Case(str(d["name"]), float(d["spacing_mm"]), *arrays, soft)
        centres = {int(v): p for v, p in zip(d["labels"], d["points"], strict=True)}
        masked = bool((case.verse > 1).any())
        return Labelled(case, centres, bool(d["real"]), bool(d.get("expert", False)), masked)


def coarser(labelled: Labelled, factor: int) -> Labelled:
    """The same case with voxels `factor` times as large: block means of HU, nearest labels."""
    if factor == 1:
        return labelled
    case = labelled.case
    assert case.hu is not None
    pad = [(0, -n % factor) for n in case.hu.shape]
    hu = np.pad(case.hu, pad, mode="edge").astype(np.float32)
    for axis in range(3):
        shape = [*hu.shape[:axis], hu.shape[axis] // factor, factor, *hu.shape[axis + 1 :]]
        hu = hu.reshape(shape).mean(axis + 1)
    pick = tuple(slice(factor // 2, None, factor) for _ in range(3))
    half = (factor - 1) / 2
    small = replace(
        case,
        spacing_mm=case.spacing_mm * factor,
        origin_lps_mm=case.origin_lps_mm + half * case.spacing_mm,
        hu=hu.astype(np.int16),
        verse=np.pad(case.verse, pad)[pick],
        part=np.pad(case.part, pad)[pick],
        soft=None,
    )
    centres = {v: (c - half) / factor for v, c in labelled.centres.items()}
    return replace(labelled, case=small, centres=centres)


class Pool:
    """Cases of some folders, drawn by weight; files that appear later are picked up.

    A file in a later folder stands for one of the same name in an earlier one. without: names of
    cases that are never drawn, nor are painted copies, whose names begin with the mask's.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        factor: int,
        real_share: float,
        rng: np.random.Generator,
        without: Collection[str] = (),
        expert_share: float = 0.0,
    ) -> None:
        self._folders, self._factor, self._real_share, self._rng = folders, factor, real_share, rng
        self._without = tuple(without)
        self._expert_share = expert_share
        self._seen: dict[str, tuple[Path, Labelled | None]] = {}  # None: not to be drawn
        self._draws = 0

    def _rescan(self) -> None:
        paths = {p.name: p for folder in self._folders for p in sorted(folder.glob(WRITTEN))}
        for name, path in paths.items():
            if self._seen.get(name, (None,))[0] != path:
                labelled = load(path)
                barred = labelled.case.name.startswith(self._without)
                self._seen[name] = path, None if barred else coarser(labelled, self._factor)

    def draw(self) -> Labelled:
        """A random case, by its count of vertebrae: a real one with probability `real_share`, of
        these at least `expert_share` with masks by experts, where there are any."""
        if self._draws % 200 == 0:
            self._rescan()
        self._draws += 1
        every = [labelled for _, labelled in self._seen.values() if labelled]
        real = self._rng.random() < self._real_share
        some = [c for c in every if c.real == real] or every
        if real and self._rng.random() < self._expert_share:
            some = [c for c in some if c.expert] or some
        weight = np.sqrt([len(c.centres) for c in some])
        return some[int(self._rng.choice(len(some), p=weight / weight.sum()))]
