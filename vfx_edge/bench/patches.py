"""What runtimes are compared on: the patches that the chain cuts, kept as it asks, and noise."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfx_edge.backends import Network, OpenModels, open_models
from vfx_edge.manifest import ModelManifest, NetworkSpec
from vfx_edge.phantom import FractureSpec, LesionSpec, PhantomSpec, make_phantom
from vfx_edge.spine.chain import ChainOptions, analyze
from vfx_edge.spine.locate import NoSpineInView
from vfx_edge.study import OnStage, Scan
from vfx_edge.vocabulary import ROLES

Floats = NDArray[np.float32]
Ask = Callable[[Floats], Floats]
"""Patches (n, channels, ...) -> answers (n, classes, ...)."""
MAX_NUMBERS = 200_000_000  # of one runtime's answers to the crops of one kind: 0.8 GB


@dataclass(eq=False)
class Recorder:
    """A network that remembers what it was asked."""

    network: Network
    asked: list[Floats] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.network, name)

    def probabilities(self, batch: Floats) -> Floats:
        return self._answered(batch, self.network.probabilities)

    def run(self, batch: Floats) -> Floats:
        return self._answered(batch, self.network.run)

    def _answered(self, batch: Floats, ask: Ask) -> Floats:
        self.asked.append(batch)
        return ask(batch)


@dataclass(eq=False)
class Sampler(Recorder):
    """Remembers some patches of all that were asked, evenly from first to last: a network that is
    moved over a scan tile by tile is asked about gigabytes. `silent`: it is asked once, and what
    it answers to all else are zeros of that shape."""

    most: int = 1
    silent: bool = False
    _step: int = 1
    _seen: int = 0
    _zeros: Floats | None = None

    def _answered(self, batch: Floats, ask: Ask) -> Floats:
        for one in batch:
            if self._seen % self._step == 0:
                self.asked.append(one[None].copy())
            self._seen += 1
            if len(self.asked) > 2 * self.most:
                self.asked, self._step = self.asked[::2], 2 * self._step
        if not self.silent:
            return ask(batch)
        if self._zeros is None:
            self._zeros = np.zeros_like(ask(batch[:1]))
        return np.repeat(self._zeros, len(batch), axis=0)


def recorded(models: OpenModels) -> tuple[OpenModels, dict[str, Recorder]]:
    """The models with a recorder about each network, by role; joined roles share one."""
    each = {id(network): Recorder(network) for network in models.networks.values()}
    recorders = {role: each[id(network)] for role, network in models.networks.items()}
    return replace(models, networks=recorders), recorders


def some_of(batches: Sequence[Floats], count: int) -> Floats:
    """At most `count` patches, evenly from first to last."""
    batch: Floats = np.concatenate(batches)
    chosen: Floats = batch[np.unique(np.linspace(0, len(batch) - 1, count).astype(int))]
    return chosen


def affordable(spec: NetworkSpec, count: int) -> int:
    """`count`, or fewer where so many answers voxel by voxel would not fit into memory."""
    one_answer = {"labeller", "detector", "classifier"} & set(spec.roles)
    if one_answer and "segmenter" not in spec.roles:
        return count
    each = len(spec.output.classes) * int(np.prod(spec.input.patch_zyx))
    return max(2, min(count, MAX_NUMBERS // each))


def chain_patches(
    scans: Sequence[Scan],
    manifest: ModelManifest,
    specs: Sequence[NetworkSpec],
    count: int,
    on_stage: OnStage | None = None,
) -> dict[str, Floats]:
    """Network name -> at most `count` patches (n, c, a, b, c) that the chain asked of it.

    Every vertebra goes to the classifier, if it is one of them. A network that was asked nothing is
    left out.
    """
    classified = any("classifier" in spec.roles for spec in specs)
    options = ChainOptions(classify="all" if classified else ())
    asked: dict[str, list[Floats]] = {spec.name: [] for spec in specs}
    with open_models(manifest, "auto") as models:
        for scan in scans:
            each = _samplers(models, specs, count)
            watched = {role: each[network.spec.name] for role, network in models.networks.items()}
            with contextlib.suppress(NoSpineInView):  # what was asked until then will do
                watching = replace(models, networks=watched)
                analyze(scan, watching, options, on_stage)
            for spec in specs:
                asked[spec.name] += each[spec.name].asked
    return {
        spec.name: some_of(asked[spec.name], affordable(spec, count))
        for spec in specs
        if asked[spec.name]
    }


def _samplers(models: OpenModels, specs: Sequence[NetworkSpec], count: int) -> dict[str, Sampler]:
    """By network name. The last of the wanted ones need not answer: nobody is asked after it."""
    found = {n.spec.name: Sampler(n, most=count) for n in models.networks.values()}
    last = max(specs, key=lambda spec: max(map(ROLES.index, spec.roles)))
    found[last.name].silent = last.window is not None or "classifier" in last.roles
    return found


def random_patches(spec: NetworkSpec, count: int, seed: int = 0) -> Floats:
    """`count` patches of noise over the whole HU window, ready in numbers."""
    rng = np.random.default_rng(seed)
    return spec.input.normalise(rng.uniform(*spec.input.hu_clip, size=spec.shape(count)))


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
