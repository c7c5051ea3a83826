"""What networks are compared on: the very patches that the chain cuts, and noise."""

import contextlib
from collections.abc import Sequence

import numpy as np

from vfx_edge.backends import open_models
from vfx_edge.bench.recorder import Floats, affordable, recorded, some_of
from vfx_edge.manifest import ModelManifest, NetworkSpec
from vfx_edge.phantom import FractureSpec, LesionSpec, PhantomSpec, make_phantom
from vfx_edge.spine.chain import Options, analyze
from vfx_edge.spine.locate import NoSpineInView
from vfx_edge.study import Scan


def chain_crops(
    scans: Sequence[Scan], manifest: ModelManifest, specs: Sequence[NetworkSpec], count: int
) -> dict[str, Floats]:
    """Network name -> at most `count` patches (n, c, a, b, c) that the chain asked of it.

    Every vertebra goes to the classifier. A network that was asked nothing is left out.
    """
    asked: dict[str, list[Floats]] = {spec.name: [] for spec in specs}
    with open_models(manifest, "auto") as models:
        for scan in scans:
            watched, recorders = recorded(models)
            with contextlib.suppress(NoSpineInView):  # what was asked until then will do
                analyze(scan, watched, Options(classify="all"))
            for spec in specs:
                asked[spec.name] += recorders[spec.roles[0]].asked
    return {
        spec.name: some_of(asked[spec.name], affordable(spec, count))
        for spec in specs
        if asked[spec.name]
    }


def random_crops(spec: NetworkSpec, count: int, seed: int = 0) -> Floats:
    """`count` patches of noise over the whole HU window, ready in numbers."""
    rng = np.random.default_rng(seed)
    size = (count, spec.input.channels, *spec.input.patch_zyx)
    return spec.input.normalise(rng.uniform(*spec.input.hu_clip, size=size))


def phantom_scan(seed: int = 0) -> Scan:
    """A spine from T1 to L5 with three fractures, one of them malignant."""
    spec = PhantomSpec(
        spacing_mm=2.0,
        fractures=(
            FractureSpec("L1", "wedge", 0.35),
            FractureSpec("T10", "crush", 0.4),
            FractureSpec("T6", "biconcave", 0.3),
        ),
        lesions=(LesionSpec("T10", "lytic"),),
        seed=seed,
    )
    return make_phantom(spec).scan
