"""What a manifest says, as frozen types."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfx_edge.errors import ModelError
from vfx_edge.manifest.files import read_verified
from vfx_edge.manifest.table import Table

SCHEMA = "vfx-edge/model/1"
ROLES = ("locator", "finder", "labeller", "segmenter", "classifier")
INTENDED_USES = ("demonstration", "research", "clinical")
"""From the most to the least restricted."""
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
ACTIVATIONS = ("softmax", "sigmoid", "none")


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
    """"none"; "vertebra": voxels outside the vertebra's mask are padding; "box": the scan ends at
    the box about all vertebrae. Both widened by the parameter `mask_margin_mm`."""
    spacing_axes_mm: tuple[float, float, float] | None = None
    """Where the spacing differs: of each axis, in the order of patch_zyx. `spacing_mm` is then the
    finest; only networks with a `window` may have it."""

    @property
    def spacing_zyx_mm(self) -> tuple[float, float, float]:
        """Voxel edge lengths in the order of patch_zyx."""
        return self.spacing_axes_mm or (self.spacing_mm,) * 3

    def normalise(self, hu: NDArray[Any]) -> NDArray[np.float32]:
        """Hounsfield units, any shape -> the network's numbers, float32."""
        clipped: NDArray[np.float32] = np.clip(hu, *self.hu_clip).astype(np.float32)
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
class WindowSpec:
    """How a network that names and outlines all vertebrae at once is moved over the spine: as
    nnU-Net does it, Gaussian-weighted, on its own resampled grid.

    step: share of a tile from one to the next. image_order, answer_order: splines that resample
    the scan and the answers. separate: whether planes of thick slices are resampled one by one.
    """

    step: float
    image_order: int
    answer_order: int
    separate: bool


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
    manifest_path: Path
    path: Path
    sha256: str
    input: InputSpec
    output: OutputSpec
    batch: BatchSpec
    precision: PrecisionSpec
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Role-specific values; read with `number`, `text`, `choice`, `numbers`, `texts`."""
    path_fp16: Path | None = None
    """The same network computing in FP16, where the set brings one."""
    sha256_fp16: str | None = None
    window: WindowSpec | None = None
    """Set: the network labels and segments in one, by sliding window over the located spine."""

    def read(self) -> bytes:
        """The ONNX file, read once and compared with the hash; ModelError when it differs."""
        return read_verified(self.path, self.sha256)

    def read_half(self) -> bytes | None:
        """The FP16 file, read once and compared with its hash; None when the set brings none."""
        if self.path_fp16 is None or self.sha256_fp16 is None:
            return None
        return read_verified(self.path_fp16, self.sha256_fp16)

    def _parameter(self, key: str) -> Table:
        return Table(
            dict(self.parameters), f"[network.parameters] of '{self.name}'", self.manifest_path
        )

    def number(self, key: str, default: float | None = None) -> float:
        """A numeric parameter; ManifestInvalid when absent without default or no number."""
        return self._parameter(key).number(key, default=default)

    def text(self, key: str, default: str | None = None) -> str:
        """A string parameter."""
        return self._parameter(key).text(key, default=default)

    def choice(self, key: str, choices: tuple[str, ...], default: str | None = None) -> str:
        """A string parameter that is one of `choices`."""
        return self._parameter(key).choice(key, choices, default)

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
