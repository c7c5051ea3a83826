"""The service's settings: from a TOML file, overruled by the command's options."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from vfx_edge.errors import UsageError, first_line
from vfx_edge.manifest import DIGEST, Demand
from vfx_edge.outputs.kinds import dicom_kinds
from vfx_edge.study import BackendRequest

STRICT = {"extra": "forbid"}
"""For pydantic: a misspelt key is an error."""
DAY_S = 86400.0
MOST_WORKERS = 64
BOUNDS: dict[str, tuple[float, float]] = {
    "quiet_s": (0.1, DAY_S),
    "cut_off_quiet_s": (0.1, DAY_S),
    "port": (0, 65535),
    "max_associations": (1, 1000),
    "max_associations_per_address": (1, 1000),
    "max_pdu_bytes": (4096, 2**24),
    "idle_timeout_s": (1, DAY_S),
    "max_instance_mib": (1, 2**20),
    "min_free_mib": (0, 2**40),
    "http_connections_per_address": (1, 256),
    "job_attempts": (1, 1000),
    "analysis_limit_s": (1, DAY_S),
    "retry_first_s": (0.1, DAY_S),
    "retry_most_s": (0.1, DAY_S),
    "give_up_s": (0, 365 * DAY_S),
    "keep_days": (0, 36500),
}
"""Beyond them the service would run, but lose, refuse or repeat everything without a word."""


class ServiceUnusable(UsageError):
    """The service can't be started so: an address, a certificate, a package."""


class SettingsInvalid(ServiceUnusable):
    """The configuration file or an option can't be used."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}; see docs/integration.md for what may stand there.")


@dataclass(frozen=True)
class Tls:
    """PEM files. `ca`: signs the other side's certificate, which is always required."""

    certificate: Path
    key: Path
    ca: Path

    __pydantic_config__: ClassVar = STRICT


@dataclass(frozen=True)
class Destination:
    """Where results go: a DICOM node (`ae_title`, `host`, `port`) or a DICOMweb server (`url`)."""

    name: str
    ae_title: str = ""
    host: str = ""
    port: int = 104
    url: str = ""
    outputs: tuple[str, ...] = ()
    """The DICOM results it gets; empty: all."""
    tls: Tls | None = None
    token_file: Path | None = None
    """Holds the bearer token for `url`: secrets do not belong in the settings."""

    __pydantic_config__: ClassVar = STRICT

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError("a destination needs a name")
        if bool(self.url) == bool(self.host):
            raise ValueError(f"destination {self.name!r} needs either host and ae_title, or url")
        if self.host and not 1 <= len(self.ae_title.strip()) <= 16:
            raise ValueError(f"destination {self.name!r} needs an ae_title of 1 to 16 characters")
        for kind in self.outputs:
            if kind not in dicom_kinds():
                known = ", ".join(dicom_kinds())
                raise ValueError(f"destination {self.name!r} can get {known}, not {kind!r}")
        if not 1 <= self.port <= 65535:
            raise ValueError(f"the port of destination {self.name!r} must be from 1 to 65535")
        if self.url and not self.url.startswith(("http://", "https://")):
            raise ValueError(f"the url of destination {self.name!r} must begin with http(s)://")


@dataclass(frozen=True)
class Settings:
    """All settings of the service; each default is the careful one."""

    spool: Path
    # what is done with a study
    outputs: tuple[str, ...] = ()
    """Empty: the report, and DICOM results where there is a destination for them."""
    language: str = "en"
    backend: str = "auto"
    device: int = 0
    """The card's number, as `vfx-edge doctor` lists it."""
    gpu_memory_gib: float | None = None
    """Of the card, for this service; nothing: what is free when it opens the networks."""
    precision: str = "auto"
    model: str = "default"
    model_digest: str = ""
    """The model set must have this digest, as `vfx-edge models verify` prints it; empty: any."""
    model_key: Path | None = None
    """A public key of minisign, which must have signed the model set."""
    signs: bool = False
    """Whether CT signs of suspected vertebrae are measured."""
    explain: bool = False
    """Whether it is mapped what each answer of the classifier depends on."""
    destinations: tuple[Destination, ...] = ()
    # when a study has arrived
    quiet_s: float = 30.0
    cut_off_quiet_s: float = 600.0
    """The same where the last sender was cut off or refused: it will try again."""
    complete_on: Literal["quiet", "association"] = "quiet"
    # the DICOM node
    host: str = "127.0.0.1"
    port: int = 11112
    ae_title: str = "VFX-EDGE"
    callers: tuple[str, ...] = ()
    """Calling AE titles that are accepted; empty: any."""
    urgent_callers: tuple[str, ...] = ()
    """Those among them whose studies go first: an emergency room's scanner."""
    addresses: tuple[str, ...] = ()
    """Addresses or networks (10.0.0.0/8) that are accepted; empty: any that reaches `host`."""
    tls: Tls | None = None
    max_associations: int = 16
    max_associations_per_address: int = 8
    max_pdu_bytes: int = 65536
    idle_timeout_s: float = 60.0
    max_instance_mib: int = 2048
    min_free_mib: int = 1024
    """Studies are refused before the disk is full: results and the queue need room."""
    # the worklist page
    http: str = ""
    """HOST:PORT; empty: no page."""
    http_connections_per_address: int = 32
    """A page open in a browser has one; a proxy has those of all who look through it."""
    show_accession: bool = False
    """The page names studies by their accession number, not by a pseudonym."""
    workers: int | Literal["auto"] = "auto"
    """Studies analysed at once, each in a process of its own with its share of the cores."""
    # when something fails
    job_attempts: int = 5
    analysis_limit_s: float = 1800.0
    """How long one study may be analysed: it counts as one that kills the process else."""
    retry_first_s: float = 10.0
    retry_most_s: float = 600.0
    give_up_s: float = 86400.0
    """How long it waits for a destination, a shared server, or room on the disk."""
    keep_days: float = 14.0
    """How long a finished study stays in the spool; its images only until results are sent."""

    __pydantic_config__: ClassVar = STRICT

    def __post_init__(self) -> None:
        names = [destination.name for destination in self.destinations]
        if len(set(names)) != len(names):
            raise ValueError("two destinations have the same name")
        if not self.host:
            raise ValueError("host must be named: 0.0.0.0 is every address of this machine")
        if self.model_digest and not DIGEST.fullmatch(self.model_digest):
            raise ValueError("model_digest must be 64 hexadecimal digits")
        if problem := self.request.problem:
            raise ValueError(problem)
        if self.workers != "auto" and not 1 <= self.workers <= MOST_WORKERS:
            raise ValueError(f"workers must be auto, or from 1 to {MOST_WORKERS}")
        for key, (least, most) in BOUNDS.items():
            if not least <= getattr(self, key) <= most:  # no number (nan) is within neither
                raise ValueError(f"{key} must be from {least:.16g} to {most:.16g}")

    @property
    def request(self) -> BackendRequest:
        """What is asked of the machine."""
        return BackendRequest.of(self.backend, self.precision, self.device, self.gpu_memory_gib)

    @property
    def demand(self) -> Demand:
        """What the model set must prove."""
        return Demand(self.model_digest or None, self.model_key)

    def backoff_s(self, attempts: int) -> float:
        """Seconds to wait after so many failed attempts: doubling, up to `retry_most_s`."""
        return float(
            min(self.retry_first_s * 2 ** min(max(attempts - 1, 0), 30), self.retry_most_s)
        )


def default_spool() -> Path:
    """Where this user's programs keep what must outlive them. SettingsInvalid."""
    from platformdirs import user_state_path

    try:
        return user_state_path("vfx-edge", appauthor=False) / "spool"
    except RuntimeError:
        raise SettingsInvalid("--spool", "this user has no home folder, so name one") from None


def load_settings(config: Path | None, given: dict[str, Any]) -> Settings:
    """The file's settings, overruled by what was `given` (None: not given). SettingsInvalid."""
    from pydantic import TypeAdapter, ValidationError

    found = _read(config) if config is not None else {}
    found |= {name: value for name, value in given.items() if value is not None}
    if "spool" not in found:  # only then: a service's user may have no home at all
        found["spool"] = default_spool()
    try:
        return TypeAdapter(Settings).validate_python(found)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        why = first["msg"].removeprefix("Value error, ")
        why = f"{place}: {why}" if place else why
        raise SettingsInvalid(str(config or "the options"), why) from None


def _read(config: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(config.read_text("utf-8-sig"))
    except OSError as error:
        raise SettingsInvalid(str(config), error.strerror or type(error).__name__) from None
    except (ValueError, RecursionError) as error:  # not UTF-8, no TOML, nested too deep
        raise SettingsInvalid(str(config), f"it is no TOML ({first_line(error)})") from None


def parse_destination(text: str) -> Destination:
    """AETITLE@HOST:PORT or an http(s) address; ValueError."""
    if text.startswith(("http://", "https://")):
        return Destination(name=text.split("//", 1)[1].split("/")[0], url=text)
    title, at, address = text.partition("@")
    host, colon, port = address.rpartition(":")
    if not (at and colon and title and host and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{text!r} is no AETITLE@HOST:PORT and no http(s) address")
    return Destination(name=title, ae_title=title, host=host.strip("[]"), port=int(port))
