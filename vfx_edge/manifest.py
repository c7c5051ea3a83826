"""models/<name>/manifest.toml as frozen, validated, hash-checked types.

A model set is a folder: `manifest.toml`, `card.md`, `*.onnx`. Everything a network needs to be
fed and read stands in the manifest, so no code knows a network by name. A set may name another as
its `base` and then only defines the roles in which it differs.

    models = load_model_set("default")
    segmenter = models.network("segmenter")
    onnx = read_verified(segmenter)      # bytes whose hash has been compared
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfx_edge.errors import ModelError
from vfx_edge.toml_table import ManifestInvalid, Table, read_toml

SCHEMA = "vfx-edge/model/1"
ROLES = ("locator", "labeller", "segmenter", "classifier")
INTENDED_USES = ("demonstration", "research", "clinical")
"""From the most to the least restricted."""
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
ACTIVATIONS = ("softmax", "sigmoid", "none")
MANIFEST = "manifest.toml"
MAX_ONNX_BYTES = 2 << 30  # protobuf itself can hold no more
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class ModelSetNotFound(ModelError):
    """No folder of this name with a manifest in any of the places."""

    def __init__(self, name: str, places: tuple[Path, ...]) -> None:
        super().__init__(
            f"model set '{name}' was not found in {', '.join(map(str, places)) or 'any place'}: "
            "name one that `vfx-edge models list` shows, or give the folder's path"
        )


class ModelFileMissing(ModelError):
    """The manifest names a network file that isn't there or can't be read."""

    def __init__(self, path: Path, why: str = "is missing") -> None:
        super().__init__(f"{path} {why}: reinstall vfx-edge or restore the model set's folder")


class ModelFileChanged(ModelError):
    """The bytes on disk are not the ones the manifest describes."""

    def __init__(self, path: Path, sha256: str) -> None:
        super().__init__(
            f"{path} has changed (sha256 {sha256[:12]}…, not the manifest's): "
            "reinstall, or run `vfx-edge models verify`"
        )


class ModelFileSize(ModelError):
    """An ONNX file that can't be one by its size."""

    def __init__(self, path: Path, size: int) -> None:
        super().__init__(
            f"{path} is {size} bytes long, which no usable ONNX network is: "
            "restore the file or export the network again"
        )


class RoleMissing(ModelError):
    """The chain needs a role that the set doesn't fill."""

    def __init__(self, set_name: str, role: str, roles: tuple[str, ...]) -> None:
        super().__init__(
            f"model set '{set_name}' has no {role} (it has {', '.join(roles) or 'nothing'}): "
            f'add a [[network]] with roles = ["{role}"] or base = "default" to its manifest'
        )


@dataclass(frozen=True)
class InputSpec:
    """What a network wants to be fed.

    patch_zyx: edge lengths in the array's own axis order, after `orientation` and `transpose`.
    orientation: what each axis of the array grows towards, e.g. "SPL"; then axes are
    transposed. Network input = (clip(hu, *hu_clip) + hu_offset) / hu_scale.
    """

    name: str
    channels: int
    patch_zyx: tuple[int, int, int]
    spacing_mm: float
    orientation: str
    transpose: tuple[int, int, int]
    hu_clip: tuple[float, float]
    hu_offset: float
    hu_scale: float
    padding_hu: float | None
    """Fills what lies outside the volume; None: the crop's own mean."""
    interpolation: str
    """"linear" or "cubic"."""
    mask: str
    """"none", or "vertebra": voxels outside the vertebra's mask are padding."""

    def normalise(self, hu: NDArray[Any]) -> NDArray[np.float32]:
        """Hounsfield units, any shape -> the network's numbers, float32."""
        clipped = np.clip(hu, *self.hu_clip).astype(np.float32)
        clipped += np.float32(self.hu_offset)
        clipped /= np.float32(self.hu_scale)
        return clipped


@dataclass(frozen=True)
class OutputSpec:
    """What a network answers: one channel per class, and what turns it into probabilities."""

    name: str
    classes: tuple[str, ...]
    activation: str


@dataclass(frozen=True)
class BatchSpec:
    """Batch sizes for engines, and what one patch costs while it is computed."""

    min: int
    opt: int
    max: int
    activation_mib: float | None
    """Peak of intermediate tensors in fp32 for one patch; None: estimated from the patch."""


@dataclass(frozen=True)
class PrecisionSpec:
    """Number formats that were measured to keep the answers, and how closely."""

    allowed: tuple[str, ...]
    max_probability_difference: float
    min_dice: float


@dataclass(frozen=True)
class NetworkSpec:
    """One ONNX file and everything needed to feed and read it."""

    roles: tuple[str, ...]
    name: str
    set_name: str
    path: Path
    sha256: str
    input: InputSpec
    output: OutputSpec
    batch: BatchSpec
    precision: PrecisionSpec
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Role-specific values; read with `number`, `text`, `numbers`, `texts`."""

    def _parameter(self, key: str) -> Table:
        return Table(dict(self.parameters), f"[network.parameters] of '{self.name}'", self.path)

    def number(self, key: str, default: float | None = None) -> float:
        """A numeric parameter; ManifestInvalid when absent without default or no number."""
        return self._parameter(key).number(key, default=default)

    def text(self, key: str, default: str | None = None) -> str:
        """A string parameter."""
        return self._parameter(key).text(key, default=default)

    def numbers(self, key: str, default: tuple[float, ...] | None = None) -> tuple[float, ...]:
        """A list of numbers."""
        return self._parameter(key).numbers(key, default=default)

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """A list of strings."""
        return self._parameter(key).texts(key, default=default)


@dataclass(frozen=True)
class ModelManifest:
    """A model set, with the roles its `base` fills already merged in."""

    name: str
    version: str
    base: str | None
    intended_use: str
    """The most restricted of the set's own and its base's."""
    licence: str
    training_data: str
    summary: str
    directory: Path
    height_loss_suspected: float
    """0..1: from this height loss on a fracture is suspected."""
    networks: tuple[NetworkSpec, ...]

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that are filled, in the chain's order."""
        return tuple(role for role in ROLES if any(role in n.roles for n in self.networks))

    def network(self, role: str) -> NetworkSpec:
        """The network that fills the role; RoleMissing when none does."""
        for spec in self.networks:
            if role in spec.roles:
                return spec
        raise RoleMissing(self.name, role, self.roles)

    @property
    def card(self) -> Path:
        """The model card; may be absent."""
        return self.directory / "card.md"


def search_places() -> tuple[Path, ...]:
    """Folders that hold model sets, first wins: environment, user, package, checkout."""
    import platformdirs

    package = Path(__file__).resolve().parent
    listed = os.environ.get("VFX_EDGE_MODELS", "").split(os.pathsep)
    places = [Path(place) for place in listed if place.strip()]
    places.append(Path(platformdirs.user_data_dir("vfx-edge", appauthor=False)) / "models")
    places.append(package / "_models")
    places.append(package.parent / "models")
    return tuple(places)


def installed_sets() -> tuple[Path, ...]:
    """Folders of all model sets that can be named, the one that a name resolves to only."""
    found: dict[str, Path] = {}
    for place in search_places():
        if place.is_dir():
            for folder in sorted(place.iterdir()):
                if (folder / MANIFEST).is_file():
                    found.setdefault(folder.name, folder)
    return tuple(found.values())


def find_model_set(name_or_dir: str | Path) -> Path:
    """The folder of a model set: a path as it is, a name from the search places."""
    text = str(name_or_dir)
    if isinstance(name_or_dir, Path) or re.search(r"[/\\]|^\.", text):
        folder = Path(name_or_dir).expanduser()
        if (folder / MANIFEST).is_file():
            return folder.resolve()
        raise ModelSetNotFound(text, (folder,))
    places = search_places()
    if _NAME.fullmatch(text):
        for place in places:
            if (place / text / MANIFEST).is_file():
                return (place / text).resolve()
    raise ModelSetNotFound(text, places)


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
        height_loss_suspected=base.height_loss_suspected if np.isnan(loss) else loss,
    )


def parse_manifest(path: Path) -> ModelManifest:
    """One manifest.toml, without its base. ManifestInvalid says what is wrong and where."""
    top = read_toml(path)
    if (schema := top.text("schema")) != SCHEMA:
        raise ManifestInvalid(path, f"schema is '{schema}', this version reads '{SCHEMA}'")
    name = top.text("name")
    if not _NAME.fullmatch(name):
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
        height_loss_suspected=0.20 if base is None and np.isnan(loss) else loss,
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
    spec = NetworkSpec(
        roles=roles,
        name=table.text("name"),
        set_name=set_name,
        path=_network_file(table),
        sha256=table.text("sha256", pattern=r"[0-9a-f]{64}"),
        input=_input(table.table("input")),
        output=_output(table.table("output")),
        batch=_batch(table.table("batch", optional=True)),
        precision=_precision(table.table("precision", optional=True)),
        parameters=table.free("parameters"),
    )
    table.finish()
    return spec


def _network_file(table: Table) -> Path:
    """The file beside the manifest; never one outside its folder, by either system's rules."""
    name = table.text("file")
    windows = PureWindowsPath(name)
    escapes = ".." in windows.parts or windows.drive or windows.root
    if escapes or PurePosixPath(name).is_absolute():
        raise table.invalid(f"file '{name}' must be a path inside the model set's folder")
    path = table.path.parent / name
    if not path.is_file():
        raise ModelFileMissing(path)
    return path


def _input(table: Table) -> InputSpec:
    orientation = table.text("orientation")
    if sorted("LAS"[["LR", "AP", "SI"].index(pair)] for pair in _axes(orientation)) != list("ALS"):
        raise table.invalid(f"orientation '{orientation}' is not one of L/R, A/P and S/I each")
    transpose = table.integers("transpose", count=3, default=(0, 1, 2))
    if sorted(transpose) != [0, 1, 2]:
        raise table.invalid("transpose must hold 0, 1 and 2, each once")
    clip = table.numbers("hu_clip", count=2)
    if not clip[0] < clip[1]:
        raise table.invalid("hu_clip must be [low, high]")
    spec = InputSpec(
        name=table.text("name"),
        channels=table.integer("channels", default=1, low=1, high=64),
        patch_zyx=_triple(table.integers("patch_zyx", count=3, low=1, high=1024)),
        spacing_mm=table.number("spacing_mm", low=0.1, high=20.0),
        orientation=orientation,
        transpose=_triple(transpose),
        hu_clip=(clip[0], clip[1]),
        hu_offset=table.number("hu_offset"),
        hu_scale=table.number("hu_scale", low=1e-6),
        padding_hu=table.number_or("padding_hu", "mean"),
        interpolation=table.choice("interpolation", ("linear", "cubic"), default="linear"),
        mask=table.choice("mask", ("none", "vertebra"), default="none"),
    )
    table.finish()
    return spec


def _axes(orientation: str) -> Iterator[str]:
    for letter in orientation:
        yield from (pair for pair in ("LR", "AP", "SI") if letter in pair)


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


def _precision(table: Table) -> PrecisionSpec:
    allowed = table.texts("allowed", choices=PRECISIONS, default=("fp32",))
    spec = PrecisionSpec(
        allowed=allowed if "fp32" in allowed else ("fp32", *allowed),
        max_probability_difference=table.number("max_probability_difference", default=0.05, low=0),
        min_dice=table.number("min_dice", default=0.99, low=0, high=1),
    )
    table.finish()
    return spec


def read_verified(spec: NetworkSpec) -> bytes:
    """The network's bytes, read once and compared with the manifest's hash.

    Hand these very bytes to the runtime, so that nothing can change between check and use.
    """
    try:
        size = spec.path.stat().st_size
        if not 16 <= size <= MAX_ONNX_BYTES:
            raise ModelFileSize(spec.path, size)
        data = spec.path.read_bytes()
    except OSError as error:
        raise ModelFileMissing(spec.path, f"can't be read ({error.strerror})") from error
    if (digest := hashlib.sha256(data).hexdigest()) != spec.sha256:
        raise ModelFileChanged(spec.path, digest)
    return data


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def update_hashes(manifest_path: Path) -> None:
    """Rewrite every `sha256` of a manifest from the files it names, leaving all else as it is.

    For the recipes that make models. Each [[network]] needs a `file` and a `sha256` line.
    """
    text = manifest_path.read_text(encoding="utf-8")
    head, *blocks = re.split(r"(?m)^(?=\[\[network\]\])", text)
    for i, block in enumerate(blocks):
        match = re.search(r'(?m)^file\s*=\s*"([^"]+)"', block)
        if match is None:
            raise ManifestInvalid(manifest_path, f"[[network]] number {i + 1} has no file")
        digest = sha256_of(manifest_path.parent / match[1])
        blocks[i], count = re.subn(r'(?m)^sha256\s*=\s*"[^"]*"', f'sha256 = "{digest}"', block, 1)
        if not count:
            blocks[i] = block.replace(match[0], f'{match[0]}\nsha256 = "{digest}"', 1)
    partial = manifest_path.with_suffix(".toml.partial")
    partial.write_text(head + "".join(blocks), encoding="utf-8", newline="\n")
    os.replace(partial, manifest_path)
