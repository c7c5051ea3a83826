"""`python -m models.recipes tabular` and `fusion`: from labels to the two roles of a model set."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.rows import row_network
from models.recipes.labelled import sets
from models.recipes.tabular.errors import NoFeature, NoTabular, UnknownFeature
from models.recipes.tabular.examples import Examples, examples_of
from models.recipes.tabular.fit import Floats, completed, feature_specs, fitted, left_out
from models.recipes.tabular.fusion import Fused, area, fuse
from models.recipes.tabular.stacking import Weights
from models.recipes.tabular.table import Answered, write_left_out
from vfx_edge.evaluation.operating_point import Wanted, choose
from vfx_edge.labelled.dataset import Dataset
from vfx_edge.manifest import load_model_set
from vfx_edge.manifest.roles import NETWORK, TABULAR, FeatureSpec

FUSION = "fusion"
UNCERTAIN = 0.2
"""Share that a fusion's thresholds may leave uncertain, where nothing else is asked."""
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Wish:
    """out: folder of the set. base: of a new set. names: features; empty: all that are told."""

    out: Path
    answers: Path
    base: str = "default"
    names: tuple[str, ...] = ()
    strength: float = 1.0
    overwrite: bool = False


def make_tabular(
    dataset: Dataset,
    features: Mapping[tuple[str, str], Mapping[str, float]] | None,
    wish: Wish,
    tell: Tell,
) -> None:
    """Fit, write the role and the answers to patients that were left out. VfxError leaves."""
    sets.check(wish.out, TABULAR, wish.overwrite)
    examples = _chosen(examples_of(dataset, features), wish.names)
    p = left_out(examples.values, examples.malignant, examples.patients, wish.strength)
    model, usual = fitted(examples.values, examples.malignant, wish.strength)
    network = row_network(
        model,
        completed(examples.values, usual),
        TABULAR,
        "features, by logistic regression",
        feature_specs(examples.names, usual),
    )
    said = _about_tabular(examples, p)
    sets.add(wish.out, TABULAR, network, said, wish.base)
    write_left_out(wish.answers, examples, p)
    tell(said)


def _chosen(examples: Examples, names: Sequence[str]) -> Examples:
    if unknown := [name for name in names if name not in examples.names]:
        raise UnknownFeature(unknown[0])
    told = [name for name in examples.told if not names or name in names]
    if not told:
        raise NoFeature
    return examples.of_features(told)


def _about_tabular(examples: Examples, p: Floats) -> str:
    malignant = int(examples.malignant.sum())
    lacking = int((~np.isfinite(examples.values)).sum())
    return "\n".join(
        [
            "## Tabular network",
            f"Logistic regression on {len(examples.names)} features of {len(examples)} fractures "
            f"({malignant} malignant) of {len(set(examples.patients))} patients: "
            f"{', '.join(examples.names)}. {lacking} of {examples.values.size} values were not "
            "known; the median of the others stood for them.",
            "",
            f"On patients that were left out: {area(p, examples.malignant, examples.patients)}.",
        ]
    )


def make_fusion(
    cases: Answered, out: Path, tell: Tell, uncertain: float = UNCERTAIN, overwrite: bool = False
) -> Fused:
    """Fit the two weights, choose the cuts on patients that were left out, write the role beside
    the tabular network. VfxError leaves."""
    if TABULAR not in (load_model_set(out).roles if out.exists() else ()):
        raise NoTabular(out)
    sets.check(out, FUSION, overwrite)
    fused = fuse(cases)
    point = choose(fused.p[fused.held], cases.malignant[fused.held], Wanted(uncertain=uncertain))
    network = row_network(
        fused.weights.pipeline(),
        cases.log_odds,
        FUSION,
        "network and features, stacked",
        [FeatureSpec(name=name, may_be_missing=0) for name in (NETWORK, TABULAR)],
        threshold_malignant=round(point.threshold_malignant, 9),
        threshold_osteoporotic=round(point.threshold_osteoporotic, 9),
    )
    said = _about_fusion(cases, fused, uncertain)
    sets.add(out, FUSION, network, said)
    tell(said)
    return fused


def _told(weights: Weights) -> str:
    words = f"network {weights.network:.3g}, numbers {weights.tabular:.3g}"
    return words if weights.tabular else f"{words} (the network alone)"


def _about_fusion(cases: Answered, fused: Fused, uncertain: float) -> str:
    truth, patients = cases.malignant, cases.patients
    found = fused.against_network
    p_value = "none" if found is None or found.p_value is None else f"{found.p_value:.2g}"
    answers = {"network": cases.network, "tabular": cases.tabular, "fusion": fused.ranks}
    lines = [f"- {name}: {area(p, truth, patients)}" for name, p in answers.items()]
    return "\n".join(
        [
            "## Fusion",
            f"Stacked: logistic regression on the log odds of both, of {len(truth)} fractures "
            f"({int(truth.sum())} malignant) of {len(set(patients))} patients, no weight below 0, "
            f"that of the numbers drawn towards 0. Weights: {_told(fused.weights)}. On patients "
            "that were left out:",
            "",
            *lines,
            "",
            f"Fusion against network: p = {p_value} (DeLong). Thresholds leave at most "
            f"{uncertain:g} uncertain.",
        ]
    )
