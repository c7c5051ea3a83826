"""`guard`: has anything become slower? The chain is measured as a ratio inside one run, so that it
holds on another machine and on a busy one: against a fixed computation, in turn. `--help` and the
service have their goals."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from scipy import ndimage

from benchmarks import inputs, options, results
from benchmarks.goals import HELP, SERVICE
from benchmarks.processes import help_seconds
from benchmarks.service import both_ways
from benchmarks.tables import added_s
from vfx_edge.backends import Budget, open_models
from vfx_edge.backends.openvino_backend import PRECISIONS, native_precision
from vfx_edge.bench.samples import Ratio, Samples, ratio
from vfx_edge.errors import VfxError
from vfx_edge.job import Job, run_job
from vfx_edge.manifest import load_model_set
from vfx_edge.outputs.dicom.ct_series import write_ct_series
from vfx_edge.phantom import PhantomSpec, make_phantom

THREADS = 2
"""What both may use: with more the networks gain and Python does not."""
ALLOWED = 0.25
"""Machines differ: so much more than the ratio on record is no regression yet."""
SPEC = PhantomSpec(levels=("T11", "L5"), spacing_mm=2.5, pixel_mm=1.5, matrix=(256, 256))
PAIRS = 15
HELP_TIMES = 6.0
"""So many times as long as a bare Python may `--help` take where both are slow."""


@dataclass(frozen=True)
class Pairs:
    """Seconds of the chain and of the fixed computation, taken in turn."""

    chain: Samples
    fixed: Samples

    @property
    def ratio(self) -> Ratio:
        return ratio(self.chain, self.fixed)

    def to_json_able(self) -> dict[str, Any]:
        return {"chain": self.chain.to_json_able(), "fixed": self.fixed.to_json_able()}

    @classmethod
    def from_json_able(cls, value: dict[str, Any]) -> "Pairs":
        return cls(*(Samples.from_json_able(value[name]) for name in ("chain", "fixed")))


class TooSlow(VfxError):
    """Something takes longer than it may."""

    exit_code = 7


class Slower(TooSlow):
    """The chain takes longer than it did."""

    def __init__(self, now: Ratio, before: Ratio) -> None:
        super().__init__(
            f"the chain takes {now.median:.2f} times ({now.low:.2f} to {now.high:.2f}) as long as "
            f"the fixed computation, {before.median:.2f} times ({before.low:.2f} to "
            f"{before.high:.2f}) on record: profile it, or put the new ratio on record with --write"
        )


def regressed(now: Pairs, before: Pairs) -> bool:
    """Whether the ratio has grown beyond the noise of both measurements and what machines differ
    by."""
    return now.ratio.low > before.ratio.high * (1 + ALLOWED)


def fixed_computation() -> Callable[[], None]:
    """Some of each thing the chain does: convolutions, array work, plain Python. Never changed: a
    change makes the ratio on record worthless."""
    infer = _convolutions()
    array = np.random.default_rng(0).normal(size=(96, 96, 96)).astype(np.float32)

    def run() -> None:
        for _ in range(4):
            infer()
        ndimage.gaussian_filter(array, 2.0)
        ndimage.label(array > 1)
        sum(len(str(i)) for i in range(150_000))

    return run


def _convolutions() -> Callable[[], object]:
    """Six layers of 32 channels on 48³ voxels, in the precision that OpenVINO takes by itself."""
    from openvino import Core, Model
    from openvino import opset13 as ops

    draw = np.random.default_rng(0)
    shape = (1, 32, 48, 48, 48)
    given = result = ops.parameter(list(shape), np.float32)
    for _ in range(6):
        weight = draw.normal(0, (27 * 32) ** -0.5, (32, 32, 3, 3, 3)).astype(np.float32)
        result = ops.convolution(result, ops.constant(weight), [1] * 3, [1] * 3, [1] * 3, [1] * 3)
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": str(THREADS),
        "INFERENCE_PRECISION_HINT": PRECISIONS[native_precision()],
    }
    request = Core().compile_model(Model([result], [given]), "CPU", settings).create_infer_request()
    numbers = draw.normal(size=shape).astype(np.float32)
    return lambda: request.infer({0: numbers}, share_inputs=True)


def measured(pairs: int = PAIRS) -> Pairs:
    """The chain on a phantom, networks open, against the fixed computation."""
    made = make_phantom(SPEC)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_ct_series(made.hu, made.affine_zyx_to_lps, folder / "ct", seed=0)
        budget = Budget(threads=THREADS)
        with open_models(load_model_set("default"), "openvino", budget=budget) as models:
            job = Job(folder / "ct", out=folder / "out")
            return in_turn(lambda: run_job(job, models), fixed_computation(), pairs)


def in_turn(
    chain: Callable[[], object],
    fixed: Callable[[], object],
    pairs: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Pairs:
    """Both, `pairs` times; the seconds that `clock` shows for each."""
    chain_s: list[float] = []
    fixed_s: list[float] = []
    chain(), fixed()  # caches and clocks
    for _ in range(pairs):
        # the fixed one on either side: it is short, and what disturbs it would weigh double
        for kept, function in ((fixed_s, fixed), (chain_s, chain), (fixed_s, fixed)):
            begin = clock()
            function()
            kept.append(clock() - begin)
    return Pairs(Samples(tuple(chain_s)), Samples(tuple(fixed_s)))


def on_record() -> Pairs:
    """What benchmarks/results/guard.json holds."""
    found = results.read("guard")
    assert found is not None, "benchmarks/results/guard.json belongs to the repository"
    return Pairs.from_json_able(found["figures"])


def command(
    write: Annotated[bool, typer.Option("--write", help="Put the ratio on record.")] = False,
    pairs: Annotated[int, typer.Option(metavar="N", min=4, help="How many pairs.")] = PAIRS,
) -> None:
    """Compare the chain's speed with the one on record, and --help and the service with their
    goals; exit 7 where one is too slow."""
    options.needs("pynetdicom", "filelock", "highdicom", "resvg_py")
    now = measured(pairs)
    print(f"chain / fixed computation: {now.ratio.median:.2f} ({now.ratio.low:.2f} to "
          f"{now.ratio.high:.2f})")  # fmt: skip
    if write:
        results.Kept("guard", {"pairs": pairs}).finish(now.to_json_able())
        return
    if regressed(now, before := on_record()):
        raise Slower(now.ratio, before.ratio)
    _guard_help()
    _guard_service()


def _guard_help() -> None:
    ours = min(help_seconds() for _ in range(5))
    bare = min(_bare_python_seconds() for _ in range(5))
    print(f"vfx-edge --help: {ours:.2f} s, {ours / bare:.1f} times a bare Python")
    if ours > HELP.least and ours > HELP_TIMES * bare:
        raise TooSlow(f"`vfx-edge --help` takes {ours:.2f} s: see what it imports")


def _bare_python_seconds() -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import argparse, inspect, typing"], check=True)
    return time.perf_counter() - begin


def _guard_service() -> None:
    with inputs.scan(None, slices=100, matrix=256) as scan:
        added = added_s(both_ways(scan.path, repeat=2))
    print(f"the service adds {added:+.2f} s")
    if added > SERVICE.least:
        raise TooSlow(f"the service adds {added:.2f} s to the command, {SERVICE.least:g} s at most")
