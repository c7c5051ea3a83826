"""[network.input] of a network that sees a row of numbers: its name alone; the rest is filled in.

No image reaches such a network, so nothing about voxels is asked of its manifest.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vfx_edge.manifest.checking import invalid
from vfx_edge.vocabulary import ROW_ROLES

_NO_IMAGE: Mapping[str, Any] = {
    "patch_zyx": [1, 1, 1],
    "spacing_mm": 1.0,
    "orientation": "SPL",
    "hu_clip": [-1.0, 1.0],
    "hu_offset": 0.0,
    "hu_scale": 1.0,
    "padding_hu": 0.0,
}


def is_row(network: Mapping[str, Any]) -> bool:
    """Whether the table names a role that sees a row."""
    roles = network.get("roles")
    return isinstance(roles, list) and any(role in ROW_ROLES for role in roles)


def row_input(network: Mapping[str, Any], parameters: Any, path: Path, where: str) -> Any:
    """The table with what an image's input says besides. ManifestInvalid where it fills another
    role, too, or says more than its name."""
    if len(network["roles"]) > 1:
        one = next(role for role in network["roles"] if role in ROW_ROLES)
        raise invalid(path, f"the role {one} needs a network of its own", where)
    given = network.get("input")
    if not isinstance(given, dict):
        return given  # refused as of any network
    if more := sorted(set(given) - {"name"}):
        what = f"'{more[0]}' is not for a row of features: leave it out"
        raise invalid(path, what, f"{where} [input]")
    features = parameters.get("features") if isinstance(parameters, dict) else None
    count = len(features) if isinstance(features, list) else 0
    return {**_NO_IMAGE, **given, "channels": min(max(count, 1), 1024)}
