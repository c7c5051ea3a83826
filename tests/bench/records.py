"""A benchmark that nobody ran: numbers to compare, draw and keep."""

from typing import Any

import numpy as np

from vfx_edge.bench.parity import NetworkParity, Parity
from vfx_edge.bench.record import Command, Record, Row, Throughput, Unavailable
from vfx_edge.bench.samples import Samples

NEAR = NetworkParity("segmenter", 8, 0.02, 0.15, 0.9996, 0.99, True)
CLOSE = Parity("within tolerance", "", (NEAR,))
MACHINE: dict[str, Any] = {
    "cpu": {
        "name": "A CPU",
        "physical_cores": 2,
        "logical_cores": 4,
        "usable_cores": 2,
        "features": ["avx2"],
    },
    "memory_gib": 16.0,
    "gpu": None,
    "driver": None,
    "os": "Linux",
    "python": "3.11.7",
    "packages": {"openvino": "1.0", "vfx-edge": "0.1.0"},
    "load_average": [0.1, 0.2, 0.3],
    "busy": 0.01,
}
INPUT = {
    "kind": "ct",
    "phantom": None,
    "shape_zyx": [99, 512, 512],
    "spacing_zyx_mm": [4.25, 0.98, 0.98],
    "int16_mib": 49.5,
}


def runs(median_s: float, count: int = 7, noise: float = 0.01, seed: int = 0) -> Samples:
    """Times about a median, the same for the same seed."""
    draw = np.random.default_rng(seed)
    return Samples(tuple(median_s * np.exp(draw.normal(0, noise, count))))


def row(
    backend: str = "openvino",
    precision: str = "bf16",
    speed: float = 1.0,
    noise: float = 0.01,
    seed: int = 0,
    parity: Parity = CLOSE,
    vram: float | None = None,
    count: int = 7,
    busy: float = 0.0,
) -> Row:
    """A row; `speed`: how many times faster than two seconds a study."""
    stages = {"read": 0.2, "locate": 0.5, "segment": 1.2, "classify": 0.0, "other": 0.1}
    return Row(
        backend=backend,
        precision=precision,
        chosen=True,
        device="A CPU",
        open_s=0.5,
        first_s=2.5 / speed,
        warm=runs(2 / speed, count, noise=noise, seed=seed),
        stages={
            name: runs(s / speed, count, noise=noise, seed=seed + at)
            for at, (name, s) in enumerate(stages.items())
        },
        peak_rss_mib=1024.0,
        peak_vram_mib=vram,
        parity=parity,
        busy=busy,
    )


def record(*rows: Row, speed: float = 1.0, seed: int = 0) -> Record:
    """A record of these rows, or of one."""
    return Record(
        started_at="2026-11-20T12:00:00+00:00",
        version="0.1.0",
        input=INPUT,
        machine=MACHINE,
        threads=2,
        models={
            "name": "default",
            "version": "0.1.0",
            "networks": {"segmenter": {"name": "seg", "sha256": "a" * 64}},
        },
        settings={
            "backends": None,
            "precisions": None,
            "repeat": 7,
            "duration_s": None,
            "cold": 4,
            "studies": 4,
        },
        rows=rows or (row(speed=speed, seed=seed),),
        unavailable=(Unavailable("cuda", "no NVIDIA driver", "install one"),),
        command=Command(
            "auto",
            "openvino",
            "bf16",
            runs(5 / speed, 4, seed=seed + 50),
            runs(3 / speed, 4, seed=seed + 60),
            True,
            900.0,
        ),
        throughput=Throughput("openvino", "bf16", 4, 7.5 / speed, 1200.0),
    )
