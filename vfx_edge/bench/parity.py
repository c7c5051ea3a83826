"""Whether a fast backend still gives the right answers, so that no fast wrong one is chosen.

The reference is ONNX Runtime on the CPU in fp32. It answers what the chain asks its networks on
this CT; every other backend answers the same patches and the same study.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vfx_edge.backends import Network, OpenModels
from vfx_edge.bench.networks import figures_of
from vfx_edge.bench.patches import Floats, Recorder, affordable, some_of
from vfx_edge.study import Finding, StudyResult, tier_of

REFERENCE = ("cpu", "fp32")
PATCHES = 8
DIFFERS = "DIFFERS"
SAME = 1e-3
"""Probabilities that differ by no more are called the same: fp32 sums in another order do."""

Facts = dict[str, Any]
"""What was found in a study, as far as it decides something: `facts_of`."""


@dataclass(frozen=True)
class NetworkParity:
    """One network's answers to the recorded patches against the reference's."""

    network: str
    patches: int
    max_difference: float
    allowed_difference: float
    min_dice: float | None
    """None where the network answers once for a patch."""
    needed_dice: float
    within: bool

    def __str__(self) -> str:
        near = self.max_difference <= self.allowed_difference
        if self.min_dice is None or not near:
            return (
                f"{self.network}: probabilities {self.max_difference:.4f} apart, "
                f"{self.allowed_difference:g} allowed"
            )
        return f"{self.network}: Dice of masks {self.min_dice:.4f}, {self.needed_dice:g} needed"


@dataclass(frozen=True)
class Parity:
    """verdict: "reference", "same", "within tolerance", "DIFFERS" or "not compared"."""

    verdict: str
    reason: str = ""
    """What differs, or what was not compared and why; empty otherwise."""
    networks: tuple[NetworkParity, ...] = ()

    def __str__(self) -> str:
        return f"{self.verdict}: {self.reason}" if self.reason else self.verdict

    @property
    def max_difference(self) -> float | None:
        """Of any probability of any network; None where nothing was compared."""
        return max((one.max_difference for one in self.networks), default=None)


def facts_of(result: StudyResult) -> Facts:
    """What is compared of a study: its tier, and of each level suspicion and assessment."""
    return {
        "tier": result.triage.tier.value,
        "levels": {f.vertebra.level.value: _said(f) for f in result.findings},
    }


def _said(finding: Finding) -> list[Any]:
    seen = finding.assessment
    words = tier_of(seen) or seen.kind.replace("_", " ")
    return [finding.suspected_fracture, words]


def first_difference(found: Facts, wanted: Facts) -> str:
    """The first finding that differs from the reference's; empty if none does."""
    mine, theirs = found["levels"], wanted["levels"]
    for level in [*theirs, *mine]:
        if level not in mine:
            return f"{level} is not found"
        if level not in theirs:
            return f"{level} is found and should not be"
        for at, what in enumerate(("suspected", "assessed")):
            one, other = _word(mine[level][at]), _word(theirs[level][at])
            if one != other:
                return f"{level} is {what} '{one}' instead of '{other}'"
    if found["tier"] != wanted["tier"]:
        return f"the study is {_word(found['tier'])} instead of {_word(wanted['tier'])}"
    return ""


def _word(value: object) -> str:
    words = {True: "yes", False: "no", None: "unknown"}
    return words[value] if value is None or isinstance(value, bool) else str(value)


def judge(
    found: Sequence[Facts],
    wanted: Facts,
    networks: Sequence[NetworkParity],
    unasked: Sequence[str] = (),
) -> Parity:
    """The verdict on a backend. found: what each of its runs found in the study."""
    compared = tuple(networks)
    for facts in found:
        if difference := first_difference(facts, wanted):
            return Parity(DIFFERS, difference, compared)
    for one in compared:
        if not one.within:
            return Parity(DIFFERS, str(one), compared)
    if not compared:
        return Parity("not compared", "no network was asked anything", compared)
    note = f"{', '.join(unasked)} not compared: asked nothing on this CT" if unasked else ""
    apart = max(one.max_difference for one in compared)
    return Parity("same" if apart <= SAME else "within tolerance", note, compared)


def keep_asked(recorders: Mapping[str, Recorder], models: OpenModels, path: Path) -> None:
    """Write at most PATCHES patches of each network and the reference's answers to them (.npz).

    models: the reference's own networks.
    """
    kept: dict[str, Floats] = {}
    for network in unique(models):
        role = next(role for role in network.spec.roles if role in recorders)
        asked = recorders[role].asked
        if not asked:
            continue
        patches = some_of(asked, affordable(network.spec, PATCHES))
        kept[f"asked {network.spec.name}"] = patches
        kept[f"answer {network.spec.name}"] = network.probabilities(patches)
    with path.open("wb") as stream:
        np.savez(stream, **kept)  # type: ignore[arg-type]  # its stubs take a flag of that name


def replay(models: OpenModels, path: Path) -> list[NetworkParity]:
    """Ask the recorded patches of these networks, and compare with the answers kept."""
    with np.load(path) as kept:
        return [
            _compared(network, kept[f"asked {name}"], kept[f"answer {name}"])
            for network in unique(models)
            for name in [network.spec.name]
            if f"asked {name}" in kept
        ]


def _compared(network: Network, asked: Floats, answer: Floats) -> NetworkParity:
    spec = network.spec
    figures = figures_of(network.probabilities(asked), answer, spec)
    return NetworkParity(
        network=spec.name,
        patches=figures.crops,
        max_difference=figures.max_difference,
        allowed_difference=spec.precision.max_probability_difference,
        min_dice=figures.min_dice,
        needed_dice=spec.precision.min_dice,
        within=figures.within(spec),
    )


def unique(models: OpenModels) -> list[Network]:
    """Each opened network once, though it may fill several roles."""
    return list({id(network): network for network in models.networks.values()}.values())
