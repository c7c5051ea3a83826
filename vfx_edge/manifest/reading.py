"""manifest.toml -> ModelManifest: every field checked, `base` sets merged in."""

import math
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath

from vfx_edge.manifest.files import MANIFEST, NAME, ModelFileMissing, find_model_set
from vfx_edge.manifest.spec import (
    ACTIVATIONS,
    INTENDED_USES,
    PRECISIONS,
    ROLES,
    SCHEMA,
    BatchSpec,
    InputSpec,
    ModelManifest,
    NetworkSpec,
    OutputSpec,
    PrecisionSpec,
    WindowSpec,
)
from vfx_edge.manifest.table import ManifestInvalid, Table, read_toml

_AXIS = {"L": 0, "R": 0, "P": 1, "A": 1, "S": 2, "I": 2}


def load_model_set(name_or_dir: str | Path = "default") -> ModelManifest:
    """Read and validate a model set's manifest and its bases'. Opens no network, hashes nothing.

    Raises ModelError leaves: not found, invalid manifest, missing file, cyclic base.
    """
    return _load(find_model_set(name_or_dir), ())


def _load(folder: Path, visited: tuple[Path, ...]) -> ModelManifest:
    path = folder / MANIFEST
    if folder in visited:
        chain = " -> ".join(p.name for p in (*visited, folder))
        raise ManifestInvalid(path, f"base sets form a circle ({chain})")
    own = parse_manifest(path)
    if own.base is None:
        return own
    return _merge(own, _load(find_model_set(own.base), (*visited, folder)))


def _merge(own: ModelManifest, base: ModelManifest) -> ModelManifest:
    """The base fills the roles, and the threshold, that the set leaves open."""
    rest = (
        replace(spec, roles=tuple(role for role in spec.roles if role not in own.roles))
        for spec in base.networks
    )
    # A set is never more cleared than the networks it borrows.
    use = min(own.intended_use, base.intended_use, key=INTENDED_USES.index)
    loss = own.height_loss_suspected
    return replace(
        own,
        intended_use=use,
        networks=(*own.networks, *(spec for spec in rest if spec.roles)),
        height_loss_suspected=base.height_loss_suspected if math.isnan(loss) else loss,
    )


def parse_manifest(path: Path) -> ModelManifest:
    """One manifest.toml, without its base. ManifestInvalid says what is wrong and where."""
    top = read_toml(path)
    if (schema := top.text("schema")) != SCHEMA:
        raise ManifestInvalid(path, f"schema is '{schema}', this version reads '{SCHEMA}'")
    name = top.text("name")
    if not NAME.fullmatch(name):
        raise ManifestInvalid(path, f"name '{name}' may only hold letters, digits, '.', '_', '-'")
    networks = tuple(_network(table, name) for table in top.tables("network"))
    fracture = top.table("fracture", optional=True)
    base = top.text("base", default="") or None
    loss = fracture.number("height_loss_suspected", default=float("nan"), low=0.01, high=0.99)
    fracture.finish()
    manifest = ModelManifest(
        name=name,
        version=top.text("version"),
        base=base,
        intended_use=top.choice("intended_use", INTENDED_USES),
        licence=top.text("licence"),
        training_data=top.text("training_data"),
        summary=top.text("summary"),
        directory=path.parent,
        height_loss_suspected=0.20 if base is None and math.isnan(loss) else loss,
        networks=networks,
    )
    top.finish()
    _check_roles(manifest, path)
    return manifest


def _check_roles(manifest: ModelManifest, path: Path) -> None:
    taken = [role for spec in manifest.networks for role in spec.roles]
    for role in taken:
        if taken.count(role) > 1:
            raise ManifestInvalid(path, f"the role '{role}' is filled more than once")
    if not taken and manifest.base is None:
        raise ManifestInvalid(path, "it holds no [[network]] and names no base")


def _network(table: Table, set_name: str) -> NetworkSpec:
    roles = table.texts("roles", choices=ROLES)
    half = any(table.text(key, default="") for key in ("file_fp16", "sha256_fp16"))
    spec = NetworkSpec(
        roles=roles,
        name=table.text("name"),
        set_name=set_name,
        manifest_path=table.path,
        path=_network_file(table, "file"),
        sha256=_sha256(table, "sha256"),
        input=_input(table.table("input")),
        output=_output(table.table("output")),
        batch=_batch(table.table("batch", optional=True)),
        precision=_precision(table.table("precision", optional=True)),
        parameters=table.free("parameters"),
        path_fp16=_network_file(table, "file_fp16") if half else None,
        sha256_fp16=_sha256(table, "sha256_fp16") if half else None,
        window=_window(table.table("window")) if table.has("window") else None,
    )
    table.finish()
    _check_window(spec, table)
    return spec


def _network_file(table: Table, key: str) -> Path:
    """The file beside the manifest; never one outside its folder, by either system's rules."""
    name = table.text(key)
    windows = PureWindowsPath(name)
    escapes = ".." in windows.parts or windows.drive or windows.root
    if escapes or PurePosixPath(name).is_absolute():
        raise table.invalid(f"{key} '{name}' must be a path inside the model set's folder")
    path = table.path.parent / name
    if not path.is_file():
        raise ModelFileMissing(path)
    return path


def _sha256(table: Table, key: str) -> str:
    digest = table.text(key).lower()
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise table.invalid(f"{key} must be 64 hexadecimal digits")
    return digest


def _input(table: Table) -> InputSpec:
    orientation = table.text("orientation")
    if sorted(_AXIS.get(letter, -1) for letter in orientation) != [0, 1, 2]:
        raise table.invalid(f"orientation '{orientation}' is not one of L/R, A/P and S/I each")
    transpose = table.integers("transpose", count=3, default=(0, 1, 2))
    if sorted(transpose) != [0, 1, 2]:
        raise table.invalid("transpose must hold 0, 1 and 2, each once")
    clip = table.numbers("hu_clip", count=2)
    if not clip[0] < clip[1]:
        raise table.invalid("hu_clip must be [low, high]")
    spacing = _spacing(table)
    spec = InputSpec(
        name=table.text("name"),
        channels=table.integer("channels", default=1, low=1, high=64),
        patch_zyx=_triple(table.integers("patch_zyx", count=3, low=1, high=1024)),
        spacing_mm=min(spacing),
        orientation=orientation,
        transpose=_triple(transpose),
        hu_clip=(clip[0], clip[1]),
        hu_offset=table.number("hu_offset"),
        hu_scale=table.number("hu_scale", low=1e-6),
        padding_hu=table.number_or("padding_hu", "mean"),
        interpolation=table.choice("interpolation", ("linear", "cubic"), default="linear"),
        mask=table.choice("mask", ("none", "vertebra", "box"), default="none"),
        spacing_axes_mm=spacing if len(set(spacing)) > 1 else None,
    )
    table.finish()
    return spec


def _spacing(table: Table) -> tuple[float, float, float]:
    """One number, or one for each axis in the order of patch_zyx."""
    low, high = 0.1, 20.0
    if not table.is_list("spacing_mm"):
        return (table.number("spacing_mm", low=low, high=high),) * 3
    a, b, c = table.numbers("spacing_mm", count=3, low=low, high=high)
    return a, b, c


def _triple(values: tuple[int, ...]) -> tuple[int, int, int]:
    return values[0], values[1], values[2]


def _output(table: Table) -> OutputSpec:
    classes = table.texts("classes")
    spec = OutputSpec(table.text("name"), classes, table.choice("activation", ACTIVATIONS))
    table.finish()
    return spec


def _batch(table: Table) -> BatchSpec:
    spec = BatchSpec(
        min=table.integer("min", default=1, low=1, high=1024),
        opt=table.integer("opt", default=4, low=1, high=1024),
        max=table.integer("max", default=8, low=1, high=1024),
        activation_mib=table.number("activation_mib", default=0.0, low=0.0) or None,
    )
    if not spec.min <= spec.opt <= spec.max:
        raise table.invalid("min <= opt <= max does not hold")
    table.finish()
    return spec


def _window(table: Table) -> WindowSpec:
    orders = (1, 3)
    spec = WindowSpec(
        step=table.number("step", default=0.5, low=0.1, high=1.0),
        image_order=table.integer("image_order", default=3),
        answer_order=table.integer("answer_order", default=1),
        separate=bool(table.integer("separate", default=1, high=1)),
    )
    if spec.image_order not in orders or spec.answer_order not in orders:
        raise table.invalid("image_order and answer_order must be 1 or 3")
    table.finish()
    return spec


def _check_window(spec: NetworkSpec, table: Table) -> None:
    if spec.window is None:
        if spec.input.spacing_axes_mm is not None:
            raise table.invalid("spacing_mm must be one number where there is no [network.window]")
        return
    if set(spec.roles) != {"labeller", "segmenter"}:
        raise table.invalid("[network.window] is for the roles labeller and segmenter together")
    if spec.input.channels != 1 or "background" not in spec.output.classes:
        raise table.invalid("[network.window] needs one channel and a class 'background'")


def _precision(table: Table) -> PrecisionSpec:
    allowed = table.texts("allowed", choices=PRECISIONS, default=("fp32",))
    spec = PrecisionSpec(
        allowed=allowed if "fp32" in allowed else ("fp32", *allowed),
        max_probability_difference=table.number("max_probability_difference", default=0.05, low=0),
        min_dice=table.number("min_dice", default=0.99, low=0, high=1),
    )
    table.finish()
    return spec
