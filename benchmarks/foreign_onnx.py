"""ONNX files as torch's two exporters and ONNX Runtime's quantiser write them."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tests.export.nets import shaken

EDGE, CLASSES = 16, 3
NAMES: dict[str, Any] = {"input_names": ["ct"], "output_names": ["logits"]}


class Plain(nn.Module):
    """Convolutions and two linear layers, as a beginner writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv3d(1, 8, 3, padding=1), nn.BatchNorm3d(8), nn.ReLU(), nn.MaxPool3d(2),
            nn.Conv3d(8, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool3d(1),
        )  # fmt: skip
        self.judge = nn.Sequential(
            nn.Flatten(), nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, CLASSES)
        )

    def forward(self, x: torch.Tensor) -> Any:
        return self.judge(self.look(x))


def opset(folder: Path, number: int) -> Path:
    """Up to 20 by torch's older exporter, beyond by the present one."""
    return _older(folder, number) if number <= 20 else _present(folder, number)


def free_axes(folder: Path) -> Path:
    return _older(folder, 17, {0: "batch", 2: "z", 3: "y", 4: "x"})


def one_by_one(folder: Path) -> Path:
    return _older(folder, 17, {})


def external(folder: Path) -> Path:
    return _present(folder, 18, external_data=True)


def qdq(folder: Path) -> Path:
    """Calibrated on noise."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Noise(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            draw = np.random.default_rng(0)
            shape = (1, 1, EDGE, EDGE, EDGE)
            self.batches: Iterator[Any] = iter(
                [{"ct": draw.normal(size=shape).astype(np.float32)} for _ in range(4)]
            )

        def get_next(self) -> Any:
            return next(self.batches, None)

    path = folder / "qdq.onnx"
    quantize_static(_older(folder, 17), path, Noise(), quant_format=QuantFormat.QDQ)
    return path


def dynamic_int8(folder: Path) -> Path:
    """Matrix products alone, as ONNX Runtime knows no integer convolution of volumes."""
    from onnxruntime.quantization import quantize_dynamic

    path = folder / "dynamic.onnx"
    quantize_dynamic(_older(folder, 17), path, op_types_to_quantize=["MatMul", "Gemm"])
    return path


def _net() -> nn.Module:
    return shaken(Plain())


def _older(folder: Path, number: int, free: dict[int, str] | None = None) -> Path:
    path = folder / "net.onnx"
    axes = {0: "batch"} if free is None else free
    out = {0: "batch"} if 0 in axes else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _net(), (_example(2 if axes else 1),), str(path), opset_version=number, dynamo=False,
            dynamic_axes={"ct": axes, "logits": out}, **NAMES,
        )  # fmt: skip
    return path


def _present(folder: Path, number: int, external_data: bool = False) -> Path:
    path = folder / "net.onnx"
    batch = ({0: torch.export.Dim("batch", min=1)},)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _net(), (_example(2),), str(path), opset_version=number, dynamo=True, verbose=False,
            external_data=external_data, dynamic_shapes=batch, **NAMES,
        )  # fmt: skip
    return path


def _example(batch: int) -> torch.Tensor:
    return torch.randn(batch, 1, EDGE, EDGE, EDGE)
