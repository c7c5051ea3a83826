"""What a manifest says, as frozen types."""

from collections.abc import Container
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from msgspec import Meta, field
from msgspec.structs import replace
from numpy.typing import NDArray

from vfx_edge.manifest.calibration import CalibrationSpec, Text
from vfx_edge.manifest.classes import DROPPED, each_once, in_words, meanings, unread
from vfx_edge.manifest.errors import RoleMissing
from vfx_edge.manifest.files import NAME, is_shipped, read_verified
from vfx_edge.manifest.moving import SlicesSpec, WindowSpec
from vfx_edge.manifest.precision import MeasuredSpec, PrecisionSpec
from vfx_edge.manifest.roles import RoleParameters, Table, unique
from vfx_edge.vocabulary import NEEDED_ROLES, ROLES, IntendedUse, Role

SCHEMA = "vfx-edge/model/1"
FILES = ("file", "file_fp16", "file_int8")
"""Keys of a network's ONNX files: the source of the others first."""
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{64}$")]
Number = Annotated[float, Meta(ge=-1e9, le=1e9)]
Mm = Annotated[float, Meta(ge=0.1, le=20)]
# Not tuple[Mm, Mm, Mm]: in a union with a limited number, msgspec 0.23 mixes length and limits up.
ThreeMm = Annotated[tuple[Mm, ...], Meta(min_length=3, max_length=3)]
Edge = Annotated[int, Meta(ge=1, le=1024)]
Axis = Literal[0, 1, 2]
P = TypeVar("P", bound=RoleParameters)
_AXIS = {"L": 0, "R": 0, "P": 1, "A": 1, "S": 2, "I": 2}


class InputSpec(Table, frozen=True, kw_only=True):
    """What a network wants to be fed: (clip(hu, *hu_clip) + hu_offset) / hu_scale."""

    name: Annotated[Text, Meta(description="of the input in the ONNX file")]
    channels: Annotated[int, Meta(ge=1, le=1024, description="of the input")] = 1
    patch_zyx: Annotated[
        tuple[Edge, Edge, Edge],
        Meta(description="voxels along the array's axes, after `orientation` and `transpose`"),
    ]
    spacing: Annotated[
        Mm | ThreeMm,
        Meta(
            description="edge of a voxel; one for each axis, in the order of patch_zyx, only with "
            "[network.window]"
        ),
    ] = field(name="spacing_mm")
    orientation: Annotated[
        str, Meta(description="what each axis grows towards: one of L/R, A/P, S/I each, as SPL")
    ]
    transpose: Annotated[
        tuple[Axis, Axis, Axis], Meta(description="of the axes, once they lie as `orientation`")
    ] = (0, 1, 2)
    hu_clip: Annotated[
        tuple[Number, Number],
        Meta(description="low and high; input = (clip(hu) + hu_offset) / hu_scale"),
    ]
    hu_offset: Annotated[Number, Meta(description="added after clipping")]
    hu_scale: Annotated[float, Meta(ge=1e-6, le=1e9, description="divides after the offset")]
    padding_hu: Annotated[
        Number | Literal["mean"],
        Meta(description="fills what lies outside the volume; mean: the crop's own"),
    ]
    interpolation: Annotated[
        Literal["linear", "cubic"], Meta(description="splines that resample the scan")
    ] = "linear"
    mask: Annotated[
        Literal["none", "vertebra", "box"],
        Meta(
            description="vertebra: voxels outside its mask are padding; box: the scan ends at the "
            "box about all vertebrae; both widened by mask_margin_mm"
        ),
    ] = "none"

    def __post_init__(self) -> None:
        if sorted(_AXIS.get(letter, -1) for letter in self.orientation) != [0, 1, 2]:
            raise ValueError(f"orientation '{self.orientation}' is not one of L/R, A/P, S/I each")
        if sorted(self.transpose) != [0, 1, 2]:
            raise ValueError("'transpose' must hold 0, 1 and 2, each once")
        if not self.hu_clip[0] < self.hu_clip[1]:
            raise ValueError("'hu_clip' must be [low, high]")

    @property
    def spacing_zyx_mm(self) -> tuple[float, float, float]:
        """Voxel edge lengths in the order of patch_zyx."""
        given = self.spacing if isinstance(self.spacing, tuple) else (self.spacing,) * 3
        return given[0], given[1], given[2]

    @property
    def spacing_mm(self) -> float:
        """The finest of them."""
        return min(self.spacing_zyx_mm)

    def normalise(self, hu: NDArray[Any]) -> NDArray[np.float32]:
        """Hounsfield units, any shape -> the network's numbers, float32."""
        clipped: NDArray[np.float32] = np.clip(hu, *self.hu_clip).astype(np.float32)
        clipped += np.float32(self.hu_offset)
        clipped /= np.float32(self.hu_scale)
        return clipped


class OutputSpec(Table, frozen=True, kw_only=True):
    """What a network answers: one channel per class, and what turns it into probabilities.

    classes: the network's own names of its channels, in their order; what they mean here is
    `NetworkSpec.means`.
    """

    name: Annotated[Text, Meta(description="of the output in the ONNX file")]
    classes: Annotated[
        tuple[Text, ...], Meta(min_length=1, description="in the order of the output's channels")
    ]
    activation: Annotated[
        Literal["softmax", "sigmoid", "none"],
        Meta(description="makes probabilities of the answers; none: they are some already"),
    ]

    def __post_init__(self) -> None:
        unique("classes", self.classes)


class BatchSpec(Table, frozen=True, kw_only=True):
    """Batch sizes for engines, and what one patch costs while it is computed."""

    min: Annotated[Edge, Meta(description="smallest batch")] = 1
    opt: Annotated[Edge, Meta(description="usual batch: engines are fastest there")] = 4
    max: Annotated[Edge, Meta(description="largest batch")] = 8
    activation_mib: Annotated[
        float,
        Meta(
            ge=0,
            le=1e6,
            description="peak of intermediate tensors in fp32 for one patch; 0: estimated",
        ),
    ] = 0.0

    def __post_init__(self) -> None:
        if not self.min <= self.opt <= self.max:
            raise ValueError("min <= opt <= max does not hold")


class NetworkTable(Table, frozen=True, kw_only=True):
    """[[network]] as it stands in the file, but for its parameters."""

    roles: Annotated[
        tuple[Role, ...], Meta(min_length=1, description="what the network does in the chain")
    ]
    name: Annotated[Text, Meta(description="what people call the network")]
    file: Text
    sha256: Sha256
    file_fp16: Text | None = None
    """The same network computing in FP16, where the set brings one."""
    sha256_fp16: Sha256 | None = None
    file_int8: Text | None = None
    """The same network quantised, where the set brings one."""
    sha256_int8: Sha256 | None = None
    input: InputSpec
    output: OutputSpec
    renamed: Annotated[
        dict[str, str],
        Meta(
            description='a network\'s own name of a class -> its name here, "": never read; '
            "several may mean one, their probabilities are added"
        ),
    ] = field(name="classes", default_factory=dict)
    """[network.classes]."""
    batch: BatchSpec = BatchSpec()
    precision: PrecisionSpec = PrecisionSpec()
    window: WindowSpec | None = None
    """Where set, the network labels and segments in one, tile by tile over the located spine."""
    slices: SlicesSpec | None = None
    """Where set, the network sees three neighbouring sagittal slices of the crop at a time."""
    calibration: CalibrationSpec | None = None
    """Of a classifier that a department calibrated: `vfx-edge calibrate` writes it."""
    int8: MeasuredSpec | None = None
    """[network.int8], without which nothing takes the INT8 file by itself."""

    def __post_init__(self) -> None:
        unique("roles", self.roles)
        for form in ("fp16", "int8"):
            file, digest = getattr(self, f"file_{form}"), getattr(self, f"sha256_{form}")
            if (file is None) != (digest is None):
                raise ValueError(f"'{'sha256' if file else 'file'}_{form}' is missing")
        if self.file_int8 is None and ("int8" in self.precision.allowed or self.int8):
            raise ValueError("'file_int8' is missing: python -m export quantize makes it")


class NetworkSpec(NetworkTable, frozen=True, kw_only=True):
    """One ONNX file and everything needed to feed and read it."""

    set_name: str
    manifest_path: Path
    directory: Path
    """Of the set that was named, which may have borrowed this network: what is made of a network
    lies there."""
    parameters: tuple[RoleParameters, ...]
    proven: bool = False
    """A digest or a signature was demanded: only what the manifest's hashes cover may be used."""

    @property
    def means(self) -> tuple[str, ...]:
        """What each channel of the network is called here; "" where it is never read."""
        levels = any(given.a_level for given in self.parameters)
        return meanings(self.output.classes, self.renamed, with_levels=levels)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of `Network.probabilities`: each meaning once, in the channels' order."""
        return each_once(self.means)

    @property
    def unread(self) -> tuple[str, ...]:
        """The network's own names of classes that nobody reads."""
        return unread(self.output.classes, self.means, [type(given) for given in self.parameters])

    @property
    def adds_classes(self) -> bool:
        """Whether several channels mean one class: then their probabilities are added."""
        return sum(meaning != DROPPED for meaning in self.means) > len(self.classes)

    @property
    def class_words(self) -> str:
        """What its own names mean, and which classes nobody reads, for people; may be empty."""
        return in_words(self.output.classes, self.means, self.unread)

    @property
    def of_a_row(self) -> bool:
        """Whether it sees a row of numbers and no image."""
        return self.parameters[0].of_a_row

    @property
    def borrowed(self) -> bool:
        """Whether it is of the base of the set that was named."""
        return self.directory != self.manifest_path.parent

    @property
    def path(self) -> Path:
        """The ONNX file, in FP32."""
        return self.manifest_path.parent / self.file

    @property
    def shipped(self) -> bool:
        """Whether this program's own tests ask it, on every backend that needs no card."""
        return is_shipped(self.path)

    @property
    def path_fp16(self) -> Path | None:
        return None if self.file_fp16 is None else self.manifest_path.parent / self.file_fp16

    @property
    def quantised(self) -> "NetworkSpec | None":
        """The same network by its INT8 file; None when the set brings none."""
        if self.file_int8 is None or self.sha256_int8 is None:
            return None
        stored = replace(self.precision, stored="int8", allowed=("fp32",))
        other = {"file": self.file_int8, "sha256": self.sha256_int8, "precision": stored}
        bare = {"file_fp16": None, "sha256_fp16": None, "file_int8": None, "sha256_int8": None}
        return replace(self, **other, **bare, int8=None)

    @property
    def int8_holds(self) -> bool:
        """Whether the INT8 file was measured to keep the answers, by this manifest's tolerance."""
        if (seen := self.int8) is None or seen.tier_changes:
            return False
        near = seen.max_difference <= self.precision.max_probability_difference
        return near and (seen.min_dice is None or seen.min_dice >= self.precision.min_dice)

    @property
    def paths(self) -> dict[str, Path]:
        """Its ONNX files by their keys in the manifest, the one in FP32 first."""
        folder = self.manifest_path.parent
        return {key: folder / getattr(self, key) for key in FILES if getattr(self, key)}

    @property
    def signed_files(self) -> tuple[tuple[Path, str], ...]:
        """Its ONNX files, the one in FP32 first, each with its sha256."""
        hashes = dict(zip(FILES, (self.sha256, self.sha256_fp16, self.sha256_int8), strict=True))
        return tuple((path, hashes[key] or "") for key, path in self.paths.items())

    def shape(self, batch: int) -> tuple[int, ...]:
        """Of its input: (batch, channels, *patch_zyx); of slices (batch, 3, *patch_zyx[1:]); of a
        row of numbers (batch, features)."""
        patch = self.input.patch_zyx if self.slices is None else self.input.patch_zyx[1:]
        return (batch, self.input.channels, *(() if self.of_a_row else patch))

    def answer_shape(self, batch: int) -> tuple[int, ...]:
        """Of its output, as its roles read it: (batch, classes), or with *patch_zyx behind."""
        voxels = self.input.patch_zyx if self.parameters[0].voxelwise else ()
        return (batch, len(self.output.classes), *voxels)

    def parameters_of(self, role: type[P]) -> P:
        """The parameters of one of its roles: `spec.parameters_of(ClassifierParameters)`."""
        for given in self.parameters:
            if isinstance(given, role):
                return given
        raise TypeError(f"'{self.name}' is no {role.__name__.removesuffix('Parameters').lower()}")

    def read(self) -> bytes:
        """The ONNX file, read once and compared with the hash; ModelError when it differs."""
        return read_verified(self.path, self.sha256)

    def read_half(self) -> bytes | None:
        """The FP16 file, read once and compared with its hash; None when the set brings none."""
        return self.read_all(("file_fp16",)).get("file_fp16")

    def read_all(self, keys: Container[str] = FILES) -> dict[str, bytes]:
        """The files of these keys that the set brings, each read once and compared with its hash;
        ModelError where one differs."""
        pairs = zip(self.paths, self.signed_files, strict=True)
        return {key: read_verified(*signed) for key, signed in pairs if key in keys}


class FractureTable(Table, frozen=True, kw_only=True):
    """[fracture]."""

    height_loss_suspected: Annotated[float, Meta(ge=0.01, le=0.99)] | None = None


class SetFacts(Table, frozen=True, kw_only=True):
    """The top of a manifest, as far as it is used as it stands."""

    name: Annotated[
        str, Meta(pattern=f"^{NAME.pattern}$", description="of the set, in every result")
    ]
    version: Annotated[Text, Meta(description="of the set")]
    base: Annotated[
        Text | None, Meta(description="the set that brings every role that this one leaves open")
    ] = None
    intended_use: Annotated[
        IntendedUse, Meta(description="the most restricted of the set's own and its base's holds")
    ]
    licence: Annotated[Text, Meta(description="of the weights")]
    training_data: Annotated[Text, Meta(description="what the network was trained on")]
    summary: Annotated[Text, Meta(description="one sentence for people")]


class SetTable(SetFacts, frozen=True, kw_only=True):
    """The top of a manifest as it stands in the file."""

    schema: str
    fracture: FractureTable = FractureTable()


class ModelManifest(SetFacts, frozen=True, kw_only=True):
    """A model set, with the roles its `base` fills already merged in."""

    directory: Path
    digest: str
    """Of the whole set: `trust.digest_of`."""
    height_loss_suspected: float
    """0..1: from this height loss on a fracture is suspected."""
    networks: tuple[NetworkSpec, ...]

    @property
    def roles(self) -> tuple[Role, ...]:
        """The roles that are filled, in the chain's order."""
        return tuple(role for role in ROLES if any(role in n.roles for n in self.networks))

    @property
    def own(self) -> tuple[NetworkSpec, ...]:
        """The networks that are not borrowed."""
        return tuple(spec for spec in self.networks if not spec.borrowed)

    @property
    def lacking(self) -> tuple[Role, ...]:
        """Roles that the chain asks for and the set leaves open."""
        whole = any(spec.window for spec in self.networks if "segmenter" in spec.roles)
        needed = (role for role in NEEDED_ROLES if not (whole and role == "finder"))
        return tuple(role for role in needed if role not in self.roles)

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
