"""How a result came about: the networks, what ran them, and by what limits they were judged."""

from dataclasses import dataclass, field

from vfx_edge.vocabulary import PRECISIONS, SERVED, Level

MOST_DEVICES = 64
"""No workstation has more cards: a larger number is a slip."""
MOST_GPU_GIB = 1024.0


@dataclass(frozen=True)
class ModelUse:
    """A network that took part."""

    role: str
    name: str
    sha256: str


@dataclass(frozen=True)
class ServedModel:
    """A network by its name in the manifest, and the server's model that answered for it."""

    network: str
    model: str
    """Holds the network's sha256."""
    version: str
    """The server's own count; "" where it has none."""


@dataclass(frozen=True)
class ServerUse:
    """A server that ran the networks: crops and tiles of the scan were sent there, no header."""

    address: str
    tls: bool
    software: str
    """As it calls itself, with its version."""
    models: tuple[ServedModel, ...]


@dataclass(frozen=True)
class BackendRequest:
    """What a person asks of the machine: who runs the networks, on which card, within how much."""

    backend: str = "auto"
    precision: str = "auto"
    """One for all networks; "auto": for each the fastest that its manifest allows."""
    device: int = 0
    """The card's number, as CUDA counts those that it may see."""
    gpu_gib: float | None = None
    """Of the card's memory; None: what is free when the networks are opened, less a reserve."""
    server: str = ""
    """Of `kserve`: grpcs://HOST:PORT or a file of settings; "": what VFX_EDGE_SERVER names."""

    @classmethod
    def of(
        cls, backend: str, precision: str = "auto", device: int = 0, gpu_gib: float | None = None
    ) -> "BackendRequest":
        """backend: a name, or "kserve=SERVER"."""
        name, _, server = backend.partition("=")
        return cls(name.strip().lower(), precision, device, gpu_gib, server.strip())

    @property
    def problem(self) -> str:
        """What can't be meant, whatever machine this is; empty where all can."""
        if self.precision not in ("auto", *PRECISIONS):
            known = ", ".join(("auto", *PRECISIONS))
            return f"{self.precision!r} is no precision: use one of {known}"
        if not 0 <= self.device < MOST_DEVICES:
            return f"there is no card number {self.device}: `vfx-edge doctor` lists those there are"
        if self.gpu_gib is not None and not 0 < self.gpu_gib <= MOST_GPU_GIB:  # nan, too
            return f"{self.gpu_gib:g} GiB of a card's memory make no sense: give for example 6"
        if self.server and self.backend not in SERVED:
            return f"{self.backend} runs on this machine: only kserve=SERVER is asked elsewhere"
        return ""


@dataclass(frozen=True)
class BackendUse:
    """What was asked for and what really ran."""

    requested: str
    used: str
    device: str
    precision: str
    skipped: tuple[tuple[str, str], ...] = ()
    """(backend, reason)"""
    passed_over: tuple[tuple[str, str], ...] = ()
    """Those of `skipped` that could have used a card that is there: worth a line to people."""
    failed: tuple[tuple[str, str], ...] = ()
    """(backend, reason): opened, failed in the middle of this study, which the next one did."""
    server: ServerUse | None = None
    """None: this machine ran the networks."""


@dataclass(frozen=True)
class Shift:
    """A person's word on the names: each so many levels further to the feet (+1: T12 is L1)."""

    levels: int


@dataclass(frozen=True)
class Anchor:
    """A person's word on the names: the vertebra at this height (z in LPS) is `level`."""

    level: Level
    z_mm: float


ByHand = Shift | Anchor


@dataclass(frozen=True)
class Calibration:
    """How the classifier's answers were made to fit a department's cases, as its manifest says
    (`vfx_edge.manifest.CalibrationSpec` explains the fields)."""

    name: str
    made: str
    cases: int
    malignant: int
    wanted: str
    temperature: float
    coverage: float | None = None
    conformal_osteoporotic: float | None = None
    conformal_malignant: float | None = None


@dataclass(frozen=True)
class RunInfo:
    """How the result came about. seconds: stage name -> wall seconds."""

    version: str
    started_at: str
    model_set: str
    intended_use: str
    models: tuple[ModelUse, ...]
    backend: BackendUse
    seconds: dict[str, float]
    peak_rss_mib: float
    peak_vram_mib: float | None
    warnings: tuple[str, ...]
    thresholds: dict[str, float] = field(default_factory=dict)
    """"malignant", "osteoporotic" (probabilities) and "height_loss" (0..1) that applied, and
    "detector" and "intact" where the set has one."""
    levels_by_hand: ByHand | None = None
    """What a person said of the names; None where they are the chain's or the mask's own."""
    calibration: Calibration | None = None
    """None: the classifier's answers and thresholds are as they were shipped."""
