"""Figures of the classifier on phantoms that neither training nor calibration has seen.

Scored is what ships: the ONNX file and the thresholds of its manifest. Synthetic fractures only:
no estimate for patients.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.recipes.classifier import attack, outliers
from models.recipes.classifier.calibration import kept, load
from models.recipes.classifier.examples import TEST, CropPool, held_out, normalise
from models.recipes.classifier.open_set import OpenSet
from models.recipes.classifier.phantoms import write_crops
from models.recipes.classifier.real import real_crops
from models.recipes.folds import REFERENCES
from vfx_edge.backends import open_models
from vfx_edge.backends.protocol import Network
from vfx_edge.evaluation.calibration import expected_error, reliability
from vfx_edge.evaluation.classification import Answers
from vfx_edge.evaluation.intervals import bootstrap
from vfx_edge.evaluation.roc import auc
from vfx_edge.manifest import ClassifierParameters, load_model_set
from vfx_edge.spine.classify import combined_views

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Told:
    """Answers of n crops: p(malignant), p(unknown), and which tier the program gives them."""

    p_malignant: Floats
    p_unknown: Floats
    malignant: Bools
    osteoporotic: Bools
    strange: Bools

    @property
    def confident(self) -> Bools:
        return self.malignant | self.osteoporotic

    def against(self, malignant: Bools) -> Answers:
        """The tiers beside the truth (n,)."""
        return Answers(self.malignant, self.osteoporotic, malignant)


def views_of(net: Network, crops: Tensor) -> Floats:
    """Answers (2, n, classes) to crops (n, 1, 64, 64, 64) and their mirror images."""
    both = (crops, crops.flip(-1))
    return np.stack([net.probabilities(view.contiguous().numpy()) for view in both])


def told(net: Network, views: Floats, by_distance: bool = True) -> Told:
    """The tiers of answers (views, n, classes), by the program's rule and the manifest's
    thresholds; by_distance: whether strangers are turned away."""
    _, p, unknown, _ = combined_views(views, net.spec.classes)
    limits = net.spec.parameters_of(ClassifierParameters)
    strange = (unknown >= limits.threshold_unknown) & by_distance
    malignant = (p >= limits.threshold_malignant) & ~strange
    osteoporotic = (1 - p >= limits.threshold_osteoporotic) & ~strange & ~malignant
    return Told(p, unknown, malignant, osteoporotic, strange)


def scores(answer: Told, truth: Bools, phantoms: NDArray[np.int64]) -> dict[str, Any]:
    """Sensitivity, specificity and accuracy are of those that got a tier, as in the paper; the
    area's interval is the BCa bootstrap over phantoms. None: of no case."""
    answers = answer.against(truth)
    counts = answers.confusion
    patients = phantoms * 2 + truth
    area = bootstrap(lambda rows: auc(answer.p_malignant[rows], truth[rows]), patients)
    bins = reliability(answer.p_malignant, truth)
    return {
        "crops": len(truth),
        "phantoms": len(np.unique(patients)),
        "auc": area and area.value,
        "auc_low": area and area.low,
        "auc_high": area and area.high,
        "sensitivity": counts.sensitivity and counts.sensitivity.value,
        "specificity": counts.specificity and counts.specificity.value,
        "accuracy_told": counts.accuracy and counts.accuracy.value,
        "malignant_not_called_osteoporotic": answers.not_missed,
        "uncertain": float((~answers.answered & ~answer.strange).mean()),
        "not_assessable": float(answer.strange.mean()),
        "calibration_curve": [
            {"p": one.said, "malignant": one.right, "crops": one.count} for one in bins
        ],
        "calibration_error": expected_error(bins),
    }


def told_despite(net: Network, crops: Tensor) -> dict[str, Told]:
    """The answers with each check added to the one before."""
    views = views_of(net, crops)
    return {
        "plain": told(net, views[:1], by_distance=False),
        "flips": told(net, views, by_distance=False),
        "flips_distance": told(net, views),
    }


def outlier_table(net: Network, pool: CropPool, n: int) -> list[dict[str, Any]]:
    """Share of n crops of each kind that come out confident, by checks.

    Rows {kind, trained, plain, flips, flips_distance}; trained: kinds that training shows as well.
    """
    rows = []
    rng = np.random.default_rng(3)
    for name, maker in {**outliers.TRAINED, **outliers.UNTRAINED}.items():
        crops = torch.stack([normalise(maker(pool, rng))[None] for _ in range(n)])
        shares = {k: float(v.confident.mean()) for k, v in told_despite(net, crops).items()}
        rows.append({"kind": name, "trained": name in outliers.TRAINED, **shares})
    return rows


def real_table(net: Network, data: Path) -> list[dict[str, Any]]:
    """Share that comes out confident of the vertebrae of each real CT, by checks.

    Rows {ct, vertebrae, plain, flips, flips_distance, not_assessable}. Nobody says that one of
    them is fractured, and training saw no real CT: hardly one should come out confident.
    """
    rows = []
    for name, crops in real_crops(data, REFERENCES, net.spec).items():
        found = told_despite(net, crops)
        shares = {k: float(v.confident.mean()) for k, v in found.items()}
        strange = float(found["flips_distance"].strange.mean())
        rows.append({"ct": name, "vertebrae": len(crops), **shares, "not_assessable": strange})
    return rows


def attack_table(
    net: Network, attacked: OpenSet, crops: Tensor, classes: Tensor
) -> list[dict[str, Any]]:
    """Share that comes out confident and wrong after changes of 5 HU, by checks; and what is
    still told rightly with all of them."""
    truth = classes.numpy() == 1
    rows = []
    for name, change in attack.ATTACKS.items():
        found = told_despite(net, change(attacked, crops, classes))
        wrong = {k: float(v.against(truth).wrong.mean()) for k, v in found.items()}
        right = float(found["flips_distance"].against(truth).right.mean())
        rows.append({"attack": name, **wrong, "told_rightly": right})
    return rows


def classifier_report(
    model_set: str | Path,
    crops: Path,
    checkpoint: Path | None = None,
    data: Path | None = None,
    *,
    backend: str = "auto",
    views: int = 2,
    of_each_kind: int = 40,
    attacked: int = 16,
) -> dict[str, Any]:
    """Every figure of a set's classifier, ready for JSON.

    crops: work/crops; the held-out phantoms are written there if they are missing. checkpoint:
    the one the set was published from, for attacks that need its gradient. data: the folder with
    real CTs whose centres are known. None leaves these out.
    """
    write_crops(crops, TEST)
    pool = CropPool(crops, TEST)
    inputs, classes, phantoms = held_out(pool, views, seed=0)
    with open_models(load_model_set(model_set), backend, roles=("classifier",)) as models:
        net = models.network("classifier")
        limits = net.spec.parameters_of(ClassifierParameters)
        names = ("threshold_malignant", "threshold_osteoporotic", "temperature")
        found: dict[str, Any] = {
            "chosen": {name: getattr(limits, name) for name in names},
            **scores(told(net, views_of(net, inputs)), classes.numpy() == 1, phantoms),
            "outliers": outlier_table(net, pool, of_each_kind),
        }
        if data is not None:
            found["real"] = real_table(net, data)
        if checkpoint is not None:
            some = np.random.default_rng(4).permutation(len(inputs))[:attacked]
            bare = kept(checkpoint, crops).published(load(checkpoint))
            found["attacks"] = attack_table(net, bare, inputs[some], classes[some])
    return found
