"""The same CT by the chain's networks in every runtime, and by the network that is used today."""

from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import inputs, nnunet_peer, options
from benchmarks.processes import answer_of, gathered, worker
from benchmarks.results import Kept, threads
from benchmarks.worker import Order
from vfx_edge.backends.openvino_backend import native_precision
from vfx_edge.bench.processes import Worker

REFERENCE = "openvino"
"""Whom the others are compared with: what the chain takes by itself on a CPU."""


@dataclass(frozen=True)
class Peer:
    """key: in the figures. title: in the tables."""

    key: str
    title: str
    backend: str
    precision: str


PEERS = (
    Peer("openvino", "OpenVINO, the precision it takes by itself", "openvino", "auto"),
    Peer("openvino-fp32", "OpenVINO, fp32", "openvino", "fp32"),
    Peer("onnxruntime", "ONNX Runtime, its CPU provider, fp32", "cpu", "fp32"),
    Peer("torch", "PyTorch eager, fp32", "torch", "fp32"),
    Peer("torch-bf16", "PyTorch eager, channels-last, bf16 autocast", "torch", "bf16"),
)
"""The last is left out where OpenVINO finds no bf16: PyTorch would emulate it."""
NNUNETS = {"nnunet-1.5mm": 1.5, "nnunet-3mm": 3.0}
"""Key -> millimetres of its grid: the full resolution, and TotalSegmentator's --fast."""


def command(
    ct: options.Ct = None,
    slices: options.Slices = 600,
    matrix: options.Matrix = 512,
    repeat: options.Repeat = 5,
    nnunet_repeat: Annotated[
        int, typer.Option(help="Runs of nnU-Net, which take minutes each; 0: none.", min=0)
    ] = 1,
    patch: Annotated[
        int, typer.Option(help="Voxels a side of nnU-Net's patch; other than 128 to try only.")
    ] = 128,
    nnunet_patches: Annotated[
        int,
        typer.Option(
            help="So many of nnU-Net's patches are computed and the others are taken to last as "
            "long; 0: all.",
            min=0,
        ),
    ] = 0,
    nnunet_fast: Annotated[bool, typer.Option(help="nnU-Net at 3 mm as well as at 1.5 mm.")] = True,
    isa: options.Isa = None,
) -> None:
    """Side by side on one CT, in turns: OpenVINO, ONNX Runtime, PyTorch, nnU-Net."""
    options.needs("torch", *(["nnunetv2"] if nnunet_repeat else []))
    with inputs.scan(ct, slices, matrix) as scan:
        settings = {"ct": scan.name, "repeat": repeat, "nnunet_repeat": nnunet_repeat}
        kept = Kept("peers", {**settings, "nnunet_patch": patch, "nnunet_patches": nnunet_patches})
        what = kept.point("input", inputs.facts, scan.path)
        same = kept.point("PyTorch answers as ONNX Runtime does", _checked)
        rounds = _in_turns(kept, scan.path, repeat)
        order = nnunet_peer.Order(str(scan.path), 1.5, patch, most_patches=nnunet_patches)
        grids = {key: mm for key, mm in NNUNETS.items() if nnunet_fast or mm == order.spacing_mm}
        nnunets = _nnunets(kept, order, grids, nnunet_repeat)
    chains = {peer.key: _chain(peer.title, [t[peer.key] for t in rounds]) for peer in _peers()}
    figures = {"input": what, "chains": chains, "nnunets": nnunets, "torch_differs": same}
    kept.finish(figures)


def _peers() -> tuple[Peer, ...]:
    return PEERS if native_precision() == "bf16" else PEERS[:-1]


def _checked() -> dict[str, Any]:
    order = {"precisions": [peer.precision for peer in _peers() if peer.backend == "torch"]}
    found: dict[str, Any] = answer_of("benchmarks.torch_backend", order)["differences"]
    return found


def _in_turns(kept: Kept, ct: Path, repeat: int) -> list[dict[str, Any]]:
    """A B C D E, A B C D E: whatever else the machine does meanwhile hits all alike.

    Every worker stays open through all rounds; its first study is not counted.
    """
    peers = _peers()
    names = [
        {peer.key: f"round {turn + 1}: {peer.key}" for peer in peers} for turn in range(repeat)
    ]
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for peer in peers:
            if any(kept.missing(turn[peer.key]) for turn in names):
                order = Order(str(ct), peer.backend, peer.precision)
                workers[peer.key] = stack.enter_context(worker(order))
                kept.point(f"first: {peer.key}", workers[peer.key].ask)
        return [
            {
                peer.key: kept.point(turn[peer.key], lambda key: workers[key].ask(), peer.key)
                for peer in peers
            }
            for turn in names
        ]


def _nnunets(
    kept: Kept, order: nnunet_peer.Order, grids: dict[str, float], repeat: int
) -> dict[str, Any]:
    """After the others: it needs several GiB, and is run alone."""
    found = {}
    for key, spacing in grids.items():
        asked = asdict(replace(order, spacing_mm=spacing))
        runs = [
            kept.point(f"{key}, run {n + 1}", answer_of, "benchmarks.nnunet_peer", asked)
            for n in range(repeat)
        ]
        if runs:
            about = {name: runs[0][name] for name in ("grid_zyx", "patches", "computed")}
            found[key] = {"spacing_mm": spacing, "threads": threads(), **about, **gathered(runs)}
    return found


def _chain(title: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """One peer's rounds, with what its networks took of them."""
    last = runs[-1]
    return {
        "title": title,
        "precision": last["precision"],
        **gathered(runs),
        "networks_s": [sum(n["seconds"] for n in run["networks"].values()) for run in runs],
        "patches": {role: network["patches"] for role, network in last["networks"].items()},
        "facts": last["facts"],
    }
