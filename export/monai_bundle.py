"""What a MONAI bundle says of its network: `configs/metadata.json`, and as far as it is plain data
`configs/inference.json`.

The latter is a program: "$…" is Python that MONAI executes, "_target_" a class that it calls.
Nothing of it is executed here; the numbers of the few transforms that are known are read.
"""

import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.checkpoints import read_bytes
from export.template import Facts
from export.zips import NO_ZIP, OddZip, is_script, open_zip
from vfx_edge.errors import ModelError
from vfx_edge.manifest.spec import InputSpec, SetTable

METADATA, INFERENCE = "metadata.json", "inference.json"
SCRIPT, WEIGHTS, LICENCE = "models/model.ts", "models/model.pt", "LICENSE"
MAX_JSON_BYTES = 16 << 20
MAX_TEXT = 300
AS_WRITTEN = "give the bundle as MONAI writes it"
_PLACES = (*(f"configs/{name}" for name in (METADATA, INFERENCE)), SCRIPT, WEIGHTS, LICENCE)
_INSIDE = "extra/"
"""Where TorchScript keeps what MONAI's ckpt_export put beside the network."""


class NoBundle(ModelError):
    """The folder or file is no MONAI bundle whose network can be exported."""

    def __init__(self, path: Path, why: str, remedy: str = AS_WRITTEN) -> None:
        super().__init__(f"{path} is no MONAI bundle that can be exported ({why}): {remedy}")


@dataclass(frozen=True)
class Bundle:
    """What was found; nothing of it has been looked through but the JSON."""

    path: Path
    script: bytes
    metadata: Mapping[str, Any]
    inference: Mapping[str, Any]
    licence: str


def read_bundle(path: Path) -> Bundle:
    """Of a folder, a zip of it, or the TorchScript file of MONAI's ckpt_export by itself."""
    found = _folder(path) if path.is_dir() else _archive(path)
    if SCRIPT not in found and WEIGHTS in found:
        raise NoBundle(
            path,
            f"it holds weights, {WEIGHTS}, and its network is Python code",
            f"make {SCRIPT} with MONAI: python -m monai.bundle ckpt_export --bundle_root {path} "
            f"--config_file {path}/{_PLACES[1]}",
        )
    if SCRIPT not in found:
        raise NoBundle(path, f"{SCRIPT} is missing")
    if _PLACES[0] not in found:
        why = f"{_PLACES[0]} is missing"
        raise NoBundle(path, why, "without it, python -m export network takes a TorchScript file")
    return Bundle(
        path,
        found[SCRIPT],
        _json(path, METADATA, found[_PLACES[0]]),
        _json(path, INFERENCE, found.get(_PLACES[1], b"{}")),
        _licence(found.get(LICENCE, b"")),
    )


def _folder(path: Path) -> dict[str, bytes]:
    return {name: read_bytes(path / name) for name in _PLACES if (path / name).is_file()}


def _archive(path: Path) -> dict[str, bytes]:
    """Place in the bundle -> bytes: of a zip, or of TorchScript, which is one, too."""
    data = read_bytes(path)
    try:
        with open_zip(io.BytesIO(data)) as archive:
            found = {
                place: archive.read(name) for name in archive.namelist() if (place := _place(name))
            }
            return found | ({SCRIPT: data} if is_script(archive.namelist()) else {})
    except OddZip as error:
        raise NoBundle(path, str(error)) from error
    except (OSError, *NO_ZIP) as error:
        raise NoBundle(path, "it is neither a folder nor a zip that can be read") from error


def _place(name: str) -> str | None:
    """Where a member of the archive belongs in a bundle, None for all others."""
    inner = name.partition("/")[2]
    if inner.startswith(_INSIDE):
        inner = f"configs/{inner.removeprefix(_INSIDE)}"
    return next((place for place in _PLACES if place in (name, inner)), None)


def _licence(text: bytes) -> str:
    """The first line, where MONAI's own words were replaced by something."""
    first = _text(text.decode("utf-8", "replace").strip().partition("\n")[0])
    return "" if first.startswith("Select a license") else first


def _json(path: Path, name: str, data: bytes) -> dict[str, Any]:
    try:
        values = json.loads(data[:MAX_JSON_BYTES])
    except (ValueError, RecursionError) as error:
        raise NoBundle(path, f"{name} is no valid JSON") from error
    if not isinstance(values, dict):
        raise NoBundle(path, f"{name} holds no table")
    return values


# --- what it says -------------------------------------------------------------------------------


def facts_of(bundle: Bundle) -> Facts:
    """All that goes into a manifest's template. NoBundle for a network of another kind."""
    image, answer = (_only(bundle, kind) for kind in ("inputs", "outputs"))
    sizes = _list(image.get("spatial_shape"))
    if sizes and len(sizes) != 3:
        raise NoBundle(
            bundle.path, f"its network takes {len(sizes)}-D images", "3-D ones are known"
        )
    transforms = dict(_transforms(bundle.inference.get("preprocessing")))
    after = dict(_transforms(bundle.inference.get("postprocessing")))
    patch = _patch(_list(_table(bundle.inference.get("inferer")).get("roi_size")) or sizes)
    names = _class_names(_table(answer.get("channel_def")))
    return Facts(
        channels=_count(image.get("num_channels")),
        patch=patch,
        classes=_count(answer.get("num_channels")) or len(names) or None,
        voxelwise=_voxelwise(answer),
        activation=_activation(after.get("Activationsd", {})),
        class_names=names,
        licence=bundle.licence or None,
        notes=tuple(_notes(bundle, image, sizes, transforms)),
        known={
            **{(InputSpec, key): value for key, value in _fed(transforms).items()},
            **_said(SetTable, "training_data", bundle.metadata.get("data_source")),
            **_said(SetTable, "summary", bundle.metadata.get("task")),
        },
    )


def _only(bundle: Bundle, kind: str) -> dict[str, Any]:
    """The one input or output of `network_data_format`."""
    found = _table(_table(bundle.metadata.get("network_data_format")).get(kind))
    if len(found) != 1:
        raise NoBundle(
            bundle.path,
            f"{METADATA} names {len(found)} {kind} under network_data_format",
            "one input and one output are known",
        )
    return _table(*found.values())


def _patch(sizes: list[Any]) -> tuple[int | None, ...]:
    """Edges that are plain numbers; "16*n" and "*" are left for a person."""
    known = [_count(size) for size in sizes]
    return tuple(known) if len(known) == 3 else (None, None, None)


def _class_names(channels: Mapping[str, Any]) -> tuple[str, ...]:
    """In the order of the channels, where these are counted from 0."""
    wanted = [str(i) for i in range(len(channels))]
    if sorted(channels, key=lambda key: (len(key), key)) != wanted:
        return ()
    return tuple(_text(channels[key]) for key in wanted)


def _voxelwise(answer: Mapping[str, Any]) -> bool | None:
    sizes = answer.get("spatial_shape")
    return len(sizes) == 3 if isinstance(sizes, list) else None


def _activation(transform: Mapping[str, Any]) -> str | None:
    return next((name for name in ("softmax", "sigmoid") if transform.get(name) is True), None)


def _transforms(chain: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """(class, arguments) of a Compose's transforms that are written out."""
    for entry in _list(_table(chain).get("transforms")):
        name = str(_table(entry).get("_target_", "")).rpartition(".")[2]
        yield name, _table(entry)


def _fed(transforms: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Keys of [network.input] by what MONAI's own transforms do."""
    fed: dict[str, Any] = {}
    axes = transforms.get("Orientationd", {}).get("axcodes")
    if isinstance(axes, str) and len(axes) == 3 and set(axes) <= set("LRAPSI"):
        fed["orientation"] = axes
    spacing = transforms.get("Spacingd", {}).get("pixdim")
    edges = _list(spacing) if isinstance(spacing, list) else [spacing] * 3
    if len(edges) == 3 and all(map(_is_number, edges)):
        fed["spacing_mm"] = edges[0] if len(set(edges)) == 1 else tuple(edges)
    return fed | _scaled(transforms.get("ScaleIntensityRanged", {}))


def _scaled(transform: Mapping[str, Any]) -> dict[str, Any]:
    """MONAI: (hu - a_min) / (a_max - a_min) * (b_max - b_min) + b_min."""
    values = [transform.get(key) for key in ("a_min", "a_max", "b_min", "b_max")]
    if not all(map(_is_number, values)):
        return {}
    low, high, least, most = map(float, values)  # type: ignore[arg-type]
    if not (low < high and least < most):
        return {}
    scale = (high - low) / (most - least)
    if not math.isfinite(least * scale):
        return {}
    clip = {"hu_clip": (low, high)} if transform.get("clip") is True else {}
    return {**clip, "hu_offset": least * scale - low, "hu_scale": scale}


def _notes(
    bundle: Bundle, image: Mapping[str, Any], sizes: list[Any], transforms: Mapping[str, Any]
) -> Iterator[str]:
    """Sentences about what a manifest has no key for, or what was not understood."""
    if any(isinstance(size, str) for size in sizes):
        yield f"The bundle says of the patch: {_text(' x '.join(map(str, sizes)))}."
    if (values := _list(image.get("value_range"))) and "ScaleIntensityRanged" not in transforms:
        yield f"It says of the values that it wants: {_text(' to '.join(map(str, values)))}."
    known = {"Orientationd", "Spacingd", "ScaleIntensityRanged", "LoadImaged", "EnsureTyped"}
    known |= {"EnsureChannelFirstd", "CastToTyped", "ToTensord"}
    if others := [name for name in transforms if name not in known]:
        yield f"Its preprocessing does besides: {_text(', '.join(others))}. See if that matters."
    for key in ("intended_use", "copyright"):
        if said := _text(bundle.metadata.get(key)):
            yield f"Its {key.replace('_', ' ')}: {said.rstrip('.')}."


def _said(table: type, key: str, value: Any) -> dict[tuple[type, str], Any]:
    return {(table, key): text} if (text := _text(value)) else {}


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _text(value: Any) -> str:
    """One printable line of what a stranger wrote; < and > are the template's own."""
    words = " ".join(str(value).split()) if isinstance(value, str) else ""
    return "".join(c for c in words if c.isprintable() and c not in "<>")[:MAX_TEXT]
