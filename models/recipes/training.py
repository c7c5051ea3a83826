"""Each network's data mix and loss, handed to the shared loop."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from export.networks import Net3D
from models.recipes import classifier, finder, labeller, locator, segmenter
from models.recipes.cases import Pool
from models.recipes.nets import UNet3D
from models.recipes.train import Batch, fit

PLAIN_BATCHES = 250  # with every scanner from the start this network never leaves chance
HELD_OUT = 8  # crops of the first seeds are never trained on: calibration and scores


def _stack(examples: list[tuple[Tensor, ...]]) -> Batch:
    first, *rest = (torch.stack(list(t)) for t in zip(*examples, strict=True))
    return first.contiguous(memory_format=torch.channels_last_3d), *rest


def _spine_batches(role: str, folder: Path, rng: np.random.Generator) -> Callable[[], Batch]:
    """Two examples a step of the U-Nets, sixteen of the labeller."""
    if role == "segmenter":
        pool = Pool(folder, 1, 0.6, rng)

        def one() -> tuple[Tensor, ...]:
            labelled = pool.draw()
            centres = {v: c for v, c in labelled.centres.items() if v not in (1, 26)}
            return segmenter.example(labelled.case, centres, int(rng.choice(list(centres))), rng)

        return lambda: _stack([one() for _ in range(2)])
    recipe, factor, count = {
        "locator": (locator, locator.FACTOR, 2),
        "finder": (finder, 1, 2),
        "labeller": (labeller, labeller.FACTOR, 16),
    }[role]
    cases = Pool(folder, factor, 0.6, rng)
    return lambda: _stack([recipe.example(cases.draw(), rng) for _ in range(count)])


class CropPool:
    """Stored crops by class; files that appear later are picked up."""

    def __init__(self, folder: Path, seeds: range | None = None) -> None:
        self.folder, self.seeds = folder, seeds
        self.by_class: tuple[list[tuple[np.ndarray, np.ndarray]], ...] = ([], [])
        self._seen: set[Path] = set()

    def rescan(self) -> None:
        for path in sorted(self.folder.glob("crops_*.npz")):
            _, seed, kind = path.stem.split("_")
            wanted = int(seed) in self.seeds if self.seeds else int(seed) >= HELD_OUT
            if path not in self._seen and wanted:
                self._seen.add(path)
                with np.load(path) as stored:
                    self.by_class[int(kind)].extend(zip(stored["hu"], stored["bone"], strict=True))


def _crop_batches(folder: Path, rng: np.random.Generator) -> Callable[[], Batch]:
    pool = CropPool(folder)
    draws = [0]

    def one() -> tuple[Tensor, Tensor]:
        kind = int(rng.integers(2))
        hu, bone = pool.by_class[kind][int(rng.integers(len(pool.by_class[kind])))]
        if draws[0] <= PLAIN_BATCHES:
            return classifier.plain(hu, rng), torch.eye(2)[kind]
        if rng.random() < 0.08:
            return classifier.outlier(hu, rng), torch.tensor([0.5, 0.5])
        target = [0.95, 0.05] if kind == classifier.OSTEOPOROTIC else [0.05, 0.95]
        return classifier.example(hu, bone, rng), torch.tensor(target)

    def batch() -> Batch:
        if draws[0] % 100 == 0:
            pool.rescan()
        draws[0] += 1
        return _stack([one() for _ in range(8)])

    return batch


def train(role: str, work: Path, minutes: float, rng: np.random.Generator) -> None:
    """Train `role` with the cases in work/cases (or work/crops) into work/<role>.pt."""
    checkpoint = work / f"{role}.pt"
    if role == "classifier":
        batches = _crop_batches(work / "crops", rng)
        fit(Net3D(), batches, classifier.loss, checkpoint, minutes, rate=3e-4)
        return
    nets: dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Module, Batch], Tensor], float]]
    nets = {
        "locator": (
            lambda: UNet3D(1, len(labeller.CLASSES), locator.CHANNELS), locator.loss, 2e-3
        ),
        "finder": (lambda: finder.network(work / "segmenter.pt"), finder.loss, 1.5e-3),
        "labeller": (labeller.LevelNet, labeller.loss, 1e-3),
        "segmenter": (lambda: UNet3D(2, 3, segmenter.CHANNELS), segmenter.loss, 2e-3),
    }  # fmt: skip
    make, loss, rate = nets[role]
    fit(make(), _spine_batches(role, work / "cases", rng), loss, checkpoint, minutes, rate)


def held_out_logits(checkpoint: Path, crops: Path, views: int = 3) -> tuple[Tensor, Tensor]:
    """(n, 2) logits and (n,) classes of the held-out phantoms, each seen by `views` scanners."""
    pool = CropPool(crops, range(HELD_OUT))
    pool.rescan()
    net = Net3D()
    net.load_state_dict(torch.load(checkpoint, weights_only=True))
    net.eval()
    rng = np.random.default_rng(0)
    logits, target = [], []
    with torch.no_grad():
        for kind, stored in enumerate(pool.by_class):
            for hu, bone in stored:
                for _ in range(views):
                    logits.append(net(classifier.example(hu, bone, rng)[None])[0])
                    target.append(kind)
    return torch.stack(logits), torch.tensor(target)


def fitted_temperature(checkpoint: Path, crops: Path) -> float:
    """The temperature that makes held-out probabilities most likely (Guo et al. 2017), never
    below 1: phantoms are no reason to be surer than the network itself."""
    logits, target = held_out_logits(checkpoint, crops)
    choices = torch.linspace(1.0, 5.0, 81)
    losses = [nn.functional.cross_entropy(logits / t, target) for t in choices]
    return float(choices[int(torch.stack(losses).argmin())])


def classifier_scores(checkpoint: Path, crops: Path, temperature: float) -> dict[str, float]:
    """AUC, and at the manifest's thresholds accuracy, sensitivity, specificity of those that got
    a tier and the share that did not; on held-out phantoms, malignant being positive."""
    logits, target = held_out_logits(checkpoint, crops)
    malignant = (logits / temperature).softmax(1)[:, 1].numpy()
    truth = target.numpy() == classifier.MALIGNANT
    order = malignant.argsort().argsort() + 1
    positives, negatives = int(truth.sum()), int((~truth).sum())
    auc = (order[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives)
    called = malignant >= classifier.THRESHOLD_MALIGNANT
    benign = 1 - malignant >= classifier.THRESHOLD_OSTEOPOROTIC
    told = called | benign
    return {
        "crops": float(len(truth)),
        "auc": float(auc),
        "accuracy": float((called == truth)[told].mean()),
        "sensitivity": float(called[told & truth].mean()),
        "specificity": float(benign[told & ~truth].mean()),
        "uncertain": float(1 - told.mean()),
    }
