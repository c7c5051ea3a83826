"""The foreign networks, each as its makers' own library writes it, with random weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import foreign_networks as made
from benchmarks import foreign_onnx as onnx

EDGE = 32
CLASSIFIER, SEGMENTER = "classifier", "segmenter"


@dataclass(frozen=True)
class File:
    """What a user has. words: further ones of the command line."""

    path: Path
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """title: in the table. door: the command of `python -m export`. answers: what is filled into
    the template besides what every template needs."""

    title: str
    door: str
    role: str
    make: Callable[[Path], File]
    answers: Mapping[str, Any] = field(default_factory=dict)


def _network(title: str, role: str, kind: str, net: Callable[[], Any]) -> Case:
    channels = 1 if role == CLASSIFIER else 2

    def make(folder: Path) -> File:
        return File(made.saved(net(), kind, folder, (channels, *[EDGE] * 3)))

    words = {"pt2": "torch.export", "traced": "traced", "scripted": "scripted"}
    known = {"input.patch_zyx": [EDGE] * 3, "input.channels": channels}
    return Case(f"{title}, {words[kind]}", "network", role, make, known)


def _bundle(title: str, **how: Any) -> Case:
    known = {"input.spacing_mm": 1.5, "input.patch_zyx": [EDGE] * 3}
    return Case(title, "monai", SEGMENTER, lambda folder: File(made.bundle(folder, **how)), known)


def _nnunet(title: str, make: Callable[[Path], Path], *words: str) -> Case:
    return Case(title, "nnunet", "joint", lambda folder: File(make(folder), words))


def _onnx(title: str, make: Callable[[Path], Path], role: str = CLASSIFIER) -> Case:
    known = {"input.patch_zyx": [onnx.EDGE] * 3}
    return Case(title, "onnx", role, lambda folder: File(make(folder)), known)


_ALL = (
    *(
        _network(title, role, kind, net)
        for title, role, net in (
            ("MONAI DenseNet121", CLASSIFIER, made.densenet),
            ("MONAI UNet", SEGMENTER, made.unet),
            ("MONAI SegResNet", SEGMENTER, made.segresnet),
        )
        for kind in ("pt2", "traced", "scripted")
    ),
    _network("3-D ResNet, as torchvision has it, of MONAI", CLASSIFIER, "scripted", made.resnet),
    _network("MONAI AttentionUnet", SEGMENTER, "pt2", made.attention_unet),
    _network("MONAI UNETR", SEGMENTER, "traced", made.unetr),
    _bundle("MONAI bundle, scripted"),
    _bundle("MONAI bundle, traced, zipped", traced=True, zipped=True),
    _bundle("MONAI bundle of weights alone", script=False),
    _network("a branch on the image's values", CLASSIFIER, "scripted", made.branching),
    _nnunet("nnU-Net PlainConvUNet", partial(made.nnunet, case="plain")),
    _nnunet("nnU-Net ResidualEncoderUNet, 1 fold", partial(made.nnunet, case="residual"),
            "--folds", "0"),
    _nnunet("nnU-Net ResidualEncoderUNet, 5 folds", partial(made.nnunet, case="residual")),
    _nnunet("nnU-Net, exported zip", partial(made.nnunet, case="folds")),
    _nnunet("nnU-Net of regions", partial(made.nnunet, case="regions")),
    _nnunet("nnU-Net of one class", made.nnunet_one_class),
    *(_onnx(f"ONNX opset {n}", partial(onnx.opset, number=n)) for n in (9, 11, 13, 17, 21)),
    _onnx("ONNX, every axis free", onnx.free_axes),
    _onnx("ONNX, a batch of one", onnx.one_by_one),
    _onnx("ONNX, weights in a second file", onnx.external),
    _onnx("ONNX, QDQ INT8", onnx.qdq),
    _onnx("ONNX, dynamic INT8", onnx.dynamic_int8),
)  # fmt: skip
CASES = {case.title: case for case in _ALL}
