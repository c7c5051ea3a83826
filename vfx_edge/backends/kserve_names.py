"""What a network is called on a server: by its own hash, so that no server can hold another one
under the name without somebody's lie."""

import re

from vfx_edge.manifest import NetworkSpec

PRECISIONS = ("fp16", "fp32")
"""That a repository is written for, fastest first."""
HASH = "vfx_edge_sha256"
"""Triton's configuration says the hash once more, by this parameter."""


def stem_of(spec: NetworkSpec) -> str:
    """What all versions of a network have in common."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", spec.name).strip("-.") or "network"


def model_name(spec: NetworkSpec, precision: str) -> str:
    """ "vertebra-segmenter-fp32-70fe1176…": the manifest's name, how it computes, and the sha256 of
    the network's FP32 file, which the manifest names."""
    return f"{stem_of(spec)}-{precision}-{spec.sha256.lower()}"


def others(spec: NetworkSpec, names: tuple[str, ...]) -> list[str]:
    """Of the names of a server's models those that are other versions of this network, short."""
    found = (re.fullmatch(rf"{re.escape(stem_of(spec))}-(\w+)-([0-9a-f]{{64}})", n) for n in names)
    return [f"{one[2][:12]}… in {one[1]}" for one in found if one]
