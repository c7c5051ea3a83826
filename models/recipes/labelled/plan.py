"""What is trained: the manifest's table of the network to come, as the study or as we have it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec.structs import asdict

from vfx_edge.labelled.dataset import Label
from vfx_edge.manifest import NEIGHBOURS, ClassifierParameters, NetworkSpec
from vfx_edge.manifest.spec import NetworkTable
from vfx_edge.vocabulary import T1_TO_L5

Recipe = Literal["study", "ours"]
Task = Literal["classifier", "detector"]
Kind = Literal["volume", "slices"]
EDGE = 64
WINDOWS: Mapping[str, Mapping[str, Any]] = {
    # Of the authors' code: -1000..3500 HU to 0..1.8.
    "study": {"hu_clip": [-1000.0, 3500.0], "hu_offset": 1000.0, "hu_scale": 2500.0},
    # About zero, and without the values that only metal has: the shipped classifier's.
    "bone": {"hu_clip": [-300.0, 1200.0], "hu_offset": -250.0, "hu_scale": 250.0},
}
CLASSES: Mapping[Task, tuple[str, str]] = {
    "classifier": ("osteoporotic", "malignant"),
    "detector": ("intact", "fractured"),
}


SLICES: Mapping[str, Any] = {"distance_mm": 3.0, "triplets": 5, "step_mm": 6.0, "average": "mean"}
"""[network.slices]: three slices 3 mm apart, through the 30 mm that hold a vertebral body."""


@dataclass(frozen=True)
class Plan:
    """What is taught to what. approach: 1 fractures only; 2 also intact vertebrae with a malignant
    lesion, as malignant; 3 as 2, with thresholds for a third answer. masked: only the vertebra
    itself is shown. window: of WINDOWS. network: sees the whole crop, or three neighbouring
    sagittal slices at a time (Li et al.); the latter has a width, and may start from a file."""

    role: Task = "classifier"
    approach: int = 2
    recipe: Recipe = "study"
    masked: bool = True
    window: str = "study"
    network: Kind = "volume"
    width: int = 64
    start: str = ""

    @property
    def classes(self) -> tuple[str, str]:
        """The two that are told apart, in the order of the network's answers."""
        return CLASSES[self.role]

    @property
    def answers(self) -> tuple[str, ...]:
        """The network's, in their order: ours has a third, a crop unlike all that was taught."""
        strange = self.recipe == "ours" and self.role == "classifier"
        return (*self.classes, "unknown") if strange else self.classes

    def number_of(self, label: Label) -> int | None:
        """Which class a vertebra with this label teaches; None: it is not shown."""
        if self.role == "detector":
            taught = {Label.INTACT: 0, Label.OSTEOPOROTIC: 1, Label.MALIGNANT: 1}
            return taught.get(label)
        taught = {Label.OSTEOPOROTIC: 0, Label.MALIGNANT: 1}
        if self.approach > 1:
            taught[Label.INTACT_LESION] = 1
        return taught.get(label)


def input_table(plan: Plan) -> dict[str, Any]:
    """[network.input]. Axes are ours, towards head, back and left, not the authors': the network is
    taught anew, so that any will do. Slices follow each other from right to left, head up, front
    to the left, as they are looked at."""
    of_slices = plan.network == "slices"
    return {
        "name": "crop",
        "channels": NEIGHBOURS if of_slices else 1,
        "patch_zyx": [EDGE] * 3,
        "spacing_mm": 1.0,
        "orientation": "LIP" if of_slices else "SPL",
        **WINDOWS[plan.window],
        "padding_hu": -1024.0,
        "interpolation": "cubic",
        "mask": "vertebra" if plan.masked else "none",
    }


def parameters_table(plan: Plan, thresholds: Sequence[float]) -> dict[str, Any]:
    """[network.parameters]. thresholds: malignant and osteoporotic, or the detector's one."""
    names = ["threshold_malignant", "threshold_osteoporotic"]
    if plan.role == "detector":
        names = ["threshold"]
    levels = [level.value for level in T1_TO_L5]
    mirror = {"mirror": 1} if plan.recipe == "ours" else {}
    return {**dict(zip(names, thresholds, strict=True)), "levels": levels, **mirror}


def network_table(plan: Plan, thresholds: Sequence[float]) -> dict[str, Any]:
    """[[network]], without its files; see `parameters_table`."""
    return {
        "roles": [plan.role],
        "name": f"{plan.role} of labelled CT",
        "input": input_table(plan),
        "output": {"name": "answer", "classes": list(plan.answers), "activation": "softmax"},
        "batch": {"min": 1, "opt": 8, "max": 16},
        "precision": {
            "allowed": ["fp32", "bf16", "fp16"],
            "max_probability_difference": 0.05,
        },
        **({"slices": dict(SLICES)} if plan.network == "slices" else {}),
        "parameters": parameters_table(plan, thresholds),
    }


def crop_spec(plan: Plan, **changes: Any) -> NetworkSpec:
    """The network to come, as `spine.crops.crop` needs it; changes: of [network.input]."""
    like = Plan(masked=plan.masked, window=plan.window, network=plan.network)
    table = network_table(like, (0.5, 0.5))
    table["input"] |= changes
    parameters = msgspec.convert(table.pop("parameters"), ClassifierParameters)
    files = {"file": "classifier.onnx", "sha256": "0" * 64}
    whole = msgspec.convert({**table, **files}, NetworkTable)
    facts: dict[str, Any] = {
        "set_name": "",
        "directory": Path(),
        "manifest_path": Path("manifest.toml"),
    }
    return NetworkSpec(**asdict(whole), **facts, parameters=(parameters,))
