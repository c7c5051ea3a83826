"""What only a GPU can show: parity, the whole chain, and the memory it takes."""

from pathlib import Path

import numpy as np
import pytest

from vfx_edge.backends import nvidia, open_models
from vfx_edge.backends.known import default_backends
from vfx_edge.inputs import load_scan
from vfx_edge.manifest import load_model_set
from vfx_edge.nvml import MemoryWatch
from vfx_edge.phantom import PhantomSpec, make_phantom
from vfx_edge.spine.chain import ChainOptions, analyze
from vfx_edge.study import BackendRequest, Classified
from vfx_edge.vocabulary import NEEDED_ROLES

DEVICE = len(nvidia.find_gpus()) - 1
"""The last card: where there are several, that the first is not taken in its place is seen, too."""
CARD = nvidia.find_gpu(DEVICE)
pytestmark = pytest.mark.skipif(isinstance(CARD, nvidia.NoGpu), reason=f"no NVIDIA GPU: {CARD}")
GPU_BACKENDS = {"cuda": 1e-3, "tensorrt": 5e-3, "tensorrt-rtx": 5e-3}
"""Largest difference of a probability from FP32 on the CPU: cuda computes in FP32, the others
in FP16."""
BUDGET_GIB = 16


def needed(backend: str) -> None:
    state = default_backends()[backend].availability(DEVICE)
    if not state.available:
        pytest.skip(f"{backend}: {state.reason}")


def patches(role: str) -> np.ndarray:
    """Three cuts through a phantom, as the network is fed."""
    spec = load_model_set().network(role)
    hu = make_phantom(
        PhantomSpec(levels=("T12", "L4"), seed=3, spacing_mm=3.0, pixel_mm=3.0, matrix=(96, 96))
    ).hu
    image = spec.input.normalise(hu)
    cuts = [
        image[np.ix_(*((np.arange(p) + shift) % s
                       for p, s in zip(spec.input.patch_zyx, hu.shape, strict=True)))]
        for shift in (0, 9, 18)
    ]  # fmt: skip
    return np.stack([np.stack([cut, cut * 0.2][: spec.input.channels]) for cut in cuts])


@pytest.mark.parametrize("role", NEEDED_ROLES)
@pytest.mark.parametrize("backend", GPU_BACKENDS)
def test_the_gpu_gives_the_cpus_answers(backend: str, role: str) -> None:
    needed(backend)
    batch = patches(role)
    with open_models(load_model_set(), BackendRequest("cpu", "fp32"), roles=(role,)) as models:
        wanted = models.network(role).probabilities(batch)
    request = BackendRequest(backend, device=DEVICE)
    with open_models(load_model_set(), request, roles=(role,)) as models:
        network = models.network(role)
        gap = np.abs(network.probabilities(batch) - wanted).max()
        assert gap <= GPU_BACKENDS[backend], f"{network.device}, {network.precision}"


@pytest.mark.parametrize("backend", GPU_BACKENDS)
def test_the_whole_chain_within_the_budget(backend: str, shared_data: Path) -> None:
    needed(backend)
    volume = load_scan(shared_data / "ct_thoracolumbar_4mm_dicom")
    every = ChainOptions(classify="all")
    assert isinstance(CARD, nvidia.Gpu)
    request = BackendRequest(backend, device=DEVICE)
    with MemoryWatch(CARD.uuid) as watch, open_models(load_model_set(), request) as models:
        fast = analyze(volume, models, every).result
        assert models.warnings == ()
    assert watch.taken_mib is not None
    assert 0 < watch.taken_mib / 1024 <= BUDGET_GIB
    if fast.run.peak_vram_mib is not None:  # the driver knows this process
        assert fast.run.peak_vram_mib / 1024 <= BUDGET_GIB
    with open_models(load_model_set(), BackendRequest("cpu", "fp32")) as models:
        exact = analyze(volume, models, every).result
    assert fast.triage == exact.triage
    assert [f.vertebra.level for f in fast.findings] == [f.vertebra.level for f in exact.findings]
    for one, other in zip(fast.findings, exact.findings, strict=True):
        assert one.assessment.kind == other.assessment.kind
        if isinstance(one.assessment, Classified) and isinstance(other.assessment, Classified):
            assert one.assessment.tier == other.assessment.tier
