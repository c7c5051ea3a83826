"""How far the networks are from what this machine can do at best."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from statistics import median
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks import inputs, options, peaks
from benchmarks.operations import Work, counted
from benchmarks.processes import worker
from benchmarks.results import Kept
from benchmarks.worker import Order
from vfx_edge.backends import open_models
from vfx_edge.backends.openvino_backend import native_precision
from vfx_edge.bench.patches import random_patches
from vfx_edge.bench.precisions import possible_precisions
from vfx_edge.manifest import load_model_set
from vfx_edge.study import BackendRequest

BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, "int8": 1}
MEMORY_MIB = 256


def command(
    ct: options.Ct = None,
    slices: options.Slices = 600,
    matrix: options.Matrix = 512,
    repeat: options.Repeat = 9,
    studies: Annotated[int, typer.Option(help="Warm studies for the share of the chain.")] = 5,
    isa: options.Isa = None,
) -> None:
    """Measured peaks of this machine, the networks' own work, and how near they come."""
    options.needs("torch")
    with inputs.scan(ct, slices, matrix) as scan:
        kept = Kept("limits", {"ct": scan.name, "repeat": repeat, "studies": studies})
        memory = kept.point("memory", peaks.memory_seconds, MEMORY_MIB, repeat)
        chains = {
            name: kept.point(f"chain in {name}", _chain, scan, asked, studies)
            for name, asked in _ours().items()
        }
    kept.finish(
        {
            "memory": {"mib_moved": 3 * MEMORY_MIB, "seconds": memory},
            "gemm": _gemm(kept, repeat),
            "conv": _conv(kept, repeat),
            "networks": _networks(kept, repeat),
            "chains": chains,
        }
    )


def _precisions() -> tuple[str, ...]:
    """Float formats that OpenVINO computes in on this processor."""
    return ("fp32", "bf16") if native_precision() == "bf16" else ("fp32",)


def _ours() -> dict[str, str]:
    """What the shipped networks can be run in -> what to ask of OpenVINO for it. By itself it
    takes for each network the fastest that the manifest allows, and no other is asked of all."""
    manifest = load_model_set("default")
    with open_models(manifest, BackendRequest("openvino")) as models:
        own = {network.precision for network in models.networks.values()}
    fastest = next(name for name in ("bf16", "int8", "fp32") if name in own)
    asked = {"fp32": "fp32"} | ({} if fastest == "fp32" else {fastest: "auto"})
    if "int8" in possible_precisions("openvino", manifest):
        asked.setdefault("int8", "int8")
    return asked


def _gemm(kept: Kept, repeat: int) -> list[dict[str, Any]]:
    gflop = 2 * peaks.GEMM**3 * peaks.DEPTH / 1e9
    about = {"size": peaks.GEMM, "gflop": gflop}
    runtimes = {"OpenVINO": peaks.openvino_gemm, "PyTorch": peaks.torch_gemm}
    return [
        _peak(kept, "matrix product", about, runtime, precision, partial(run, peaks.GEMM), repeat)
        for runtime, run in runtimes.items()
        for precision in _precisions()
    ]


def _conv(kept: Kept, repeat: int) -> list[dict[str, Any]]:
    runtimes = {"OpenVINO": peaks.openvino_conv, "PyTorch": peaks.torch_conv}
    return [
        _peak(
            kept, f"convolution, {conv.title}", {**asdict(conv), "gflop": conv.gflop},
            runtime, precision, partial(run, conv), repeat,
        )
        for runtime, run in runtimes.items()
        for precision in (*_precisions(), "int8")
        if (runtime, precision) not in peaks.UNKNOWN
        for conv in peaks.CONVS
    ]  # fmt: skip


def _peak(
    kept: Kept,
    title: str,
    about: dict[str, Any],
    runtime: str,
    precision: str,
    run: Callable[[str, int], list[float]],
    repeat: int,
) -> dict[str, Any]:
    seconds = kept.point(f"{title}, {runtime}, {precision}", run, precision, repeat)
    return {"runtime": runtime, "precision": precision, **about, "seconds": seconds}


def _networks(kept: Kept, repeat: int) -> list[dict[str, Any]]:
    """Each shipped network at the batch it is run with."""
    rows: list[dict[str, Any]] = []
    manifest = load_model_set("default")
    for asked in _ours().values():
        with open_models(manifest, BackendRequest("openvino", asked)) as models:
            known = {(row["role"], row["precision"]) for row in rows}
            for role, network in models.networks.items():
                if (role, network.precision) in known:
                    continue
                work = counted(network.spec.read())
                batch = random_patches(network.spec, network.batch_limit)
                seconds = kept.point(
                    f"{role}, {network.precision}",
                    peaks.timed,
                    partial(network.run, batch),
                    repeat,
                )
                size = BYTES[network.precision]
                rows.append(
                    {
                        "role": role,
                        "precision": network.precision,
                        "batch": len(batch),
                        "patch_zyx": list(network.spec.input.patch_zyx),
                        "gflop_each": work.gflop,
                        "mib_each": work.mib(len(batch), size) / len(batch),
                        "seconds": seconds,
                    }
                )
    return rows


def _chain(scan: inputs.Scan, asked: str, studies: int) -> dict[str, Any]:
    """The networks inside warm studies: their seconds and patches, and the whole."""
    with worker(Order(str(scan.path), "openvino", asked)) as running:
        running.ask()
        runs = [running.ask() for _ in range(studies)]
    return {
        "wall_s": [run["wall"] for run in runs],
        "networks_s": {
            role: [run["networks"][role]["seconds"] for run in runs] for role in runs[0]["networks"]
        },
        "patches": {role: n["patches"] for role, n in runs[0]["networks"].items()},
        "precisions": {role: n["precision"] for role, n in runs[0]["networks"].items()},
        "works": {role: asdict(work) for role, work in works().items()},
    }


def works() -> dict[str, Work]:
    """Role -> the work of one patch, of the shipped networks."""
    manifest = load_model_set("default")
    return {role: counted(manifest.network(role).read()) for role in manifest.roles}


def gflops(row: dict[str, Any]) -> float:
    """GFLOP/s of a row with its median seconds."""
    work = row["gflop"] if "gflop" in row else row["gflop_each"] * row["batch"]
    return float(work / median(row["seconds"]))


def conv_peak(figures: dict[str, Any], precision: str) -> float:
    """GFLOP/s of the fastest convolution that was measured, by either runtime."""
    return max(gflops(row) for row in figures["conv"] if row["precision"] == precision)


def gemm_peak(figures: dict[str, Any], precision: str) -> float:
    """GFLOP/s of the faster matrix product; 0 in a precision in which none was measured."""
    return max((gflops(r) for r in figures["gemm"] if r["precision"] == precision), default=0.0)


def bandwidth(figures: dict[str, Any]) -> float:
    """GB/s, by the median."""
    memory = figures["memory"]
    return float(memory["mib_moved"] * 2**20 / 1e9 / median(memory["seconds"]))


def achieved(chain: dict[str, Any]) -> tuple[float, float]:
    """GFLOP/s of all networks together inside the chain, and their share of its time, 0..1."""
    seconds = np.sum(list(chain["networks_s"].values()), axis=0)
    work = sum(n * chain["works"][role]["gflop"] for role, n in chain["patches"].items())
    return float(work / np.median(seconds)), float(np.median(seconds / chain["wall_s"]))


def of_peak(figures: dict[str, Any], precision: str) -> tuple[float, float]:
    """How much of the convolution peak the chain's networks reach, 0..1, each against that of the
    precision it computes in: by themselves, and inside the chain."""
    chain = figures["chains"][precision]
    asked = {role: count for role, count in chain["patches"].items() if count}
    rows = {(row["role"], row["precision"]): row for row in figures["networks"]}
    least = alone = 0.0
    for role, count in asked.items():
        row = rows[role, chain["precisions"][role]]
        least += count * row["gflop_each"] / conv_peak(figures, row["precision"])
        alone += count * median(row["seconds"]) / row["batch"]
    taken = np.median(np.sum(list(chain["networks_s"].values()), axis=0))
    return least / alone, float(least / taken)
