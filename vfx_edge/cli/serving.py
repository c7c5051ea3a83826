"""What `vfx-edge listen` and `vfx-edge watch` share: their options, and how the service is run."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vfx_edge.cli import options, parse
from vfx_edge.cli.show import tell
from vfx_edge.errors import trace_without_words
from vfx_edge.outputs import kinds
from vfx_edge.outputs.kinds import KINDS, defaults, dicom_kinds
from vfx_edge.tasks import DEFAULT

if TYPE_CHECKING:
    from vfx_edge.service.daemon import Part, Service
    from vfx_edge.service.settings import Settings
    from vfx_edge.service.web.metrics import Metrics

NEEDED = (
    "pynetdicom",
    "filelock",
    "pydantic",
    "requests",
    "uvicorn",
    "starlette",
    "sse_starlette",
    "prometheus_client",
)


def option(name: str, metavar: str, text: str, default: str | bool = False, **more: Any) -> Any:
    """An option that overrules the settings; `default`: theirs, as `--help` shows it."""
    more = {"metavar": metavar, "show_default": default, "readable": False, **more}
    return typer.Option(name, help=text, **more)


Config = Annotated[
    Path | None,
    option(
        "--config",
        "FILE.toml",
        "Settings; options given here overrule it. What may stand there: docs/integration.md.",
    ),
]
Spool = Annotated[
    Path | None,
    option(
        "--spool",
        "DIR",
        "Where studies, results and the queue live until they are done; made if absent.",
        "this user's state folder",
    ),
]
Send = Annotated[
    list[str] | None,
    option(
        "--send",
        "AETITLE@HOST:PORT|URL",
        "Send DICOM results to this node by C-STORE, or to this DICOMweb server by STOW-RS. "
        "Can be given several times: each is tried until it has them, none waits for another.",
    ),
]
Quiet = Annotated[
    float | None,
    option(
        "--quiet-time",
        "S",
        "A study is complete when nothing has come for so many seconds.",
        "30",
        min=0.1,
    ),
]
Http = Annotated[
    str | None,
    option(
        "--http",
        "HOST:PORT",
        "Show the worklist, pseudonymous, at this address, for example 127.0.0.1:8080.",
        "no page",
    ),
]
Outputs = Annotated[
    str | None,
    option(
        "--outputs",
        "LIST",
        f"What is written of each study, any of {','.join(KINDS)}.",
        "json,html; with a destination all but nifti",
    ),
]
Language = Annotated[
    str | None, option("--language", "|".join(parse.LANGUAGES), "Wording of the report.", "en")
]
Workers = Annotated[
    str | None,
    option(
        "--workers",
        "auto|N",
        "Studies analysed at once, each with its share of the cores; auto is 1, or 2 from 8 cores "
        "on where the memory is enough.",
        "auto",
    ),
]
Backend = Annotated[str | None, *options.Backend.__metadata__]
Device = Annotated[int | None, *options.Device.__metadata__]
GpuMemory = options.GpuMemory
Precision = Annotated[str | None, *options.Precision.__metadata__]
Model = Annotated[
    str | None,
    option(
        "--model",
        "NAME_OR_DIR",
        "The model set: a name that `vfx-edge models list` shows, or a folder.",
        "default",
    ),
]


def of_machine(
    backend: str | None,
    device: int | None,
    gpu_memory: float | None,
    precision: str | None,
    workers: str | None,
) -> dict[str, Any]:
    """The settings that say how the machine is used."""
    of_card = {"device": device, "gpu_memory_gib": gpu_memory, "precision": precision}
    return {"backend": backend, "workers": workers, **of_card}


def settings_from(
    config: Path | None, send: list[str] | None, outputs: str | None, **given: Any
) -> "Settings":
    """The settings of the file and the options. SettingsInvalid, BadParameter."""
    check_installed()
    from vfx_edge.service.settings import load_settings, parse_destination

    try:
        given["destinations"] = tuple(map(parse_destination, send)) if send else None
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    given["outputs"] = parse.output_kinds(outputs, DEFAULT) if outputs is not None else None
    settings = load_settings(config, given)
    if not settings.outputs:
        settings = replace(settings, outputs=_all_kinds(bool(settings.destinations)))
    parse.output_kinds(",".join(settings.outputs), DEFAULT)
    kinds.check_installed(settings.outputs)  # each study would fail else, one by one
    asked = settings.request
    parse.request(settings.backend, asked.device, asked.gpu_gib, asked.precision)
    parse.one_of(settings.language, parse.LANGUAGES, "language of the report")
    return settings


def page(service: "Service", metrics: "Metrics") -> "list[Part]":
    """The worklist page, where the settings ask for one."""
    if not service.settings.http:
        return []
    from vfx_edge.service.daemon import workers
    from vfx_edge.service.web.server import HttpServer
    from vfx_edge.service.web.worklist import Worklist

    settings = service.settings
    metrics.show_workers(workers(settings))
    worklist = Worklist(service.spool, service.jobs, service.sends, settings.show_accession)
    each = settings.http_connections_per_address
    return [HttpServer(settings.http, settings.language, worklist, metrics, each)]


def _all_kinds(for_archives: bool) -> tuple[str, ...]:
    return (*defaults(), *(dicom_kinds() if for_archives else ()))


def check_installed() -> None:
    """ServiceUnusable where the extra `service` is not installed."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        from vfx_edge.service.settings import ServiceUnusable

        needs = f"The service needs {' and '.join(missing)}"
        raise ServiceUnusable(f"{needs}: pip install 'vfx-edge[service]'.")


class _ToStandardError(logging.Handler):
    """To what `sys.stderr` is at the time: descriptor 2 is muted while slices are decoded.

    Our own lines alone are printed as they are. Of a library's error its place is told, not its
    words, which may quote what is in an object; of its warnings nothing.
    """

    def emit(self, record: logging.LogRecord) -> None:
        own = record.name.partition(".")[0] == "vfx_edge"
        if own or record.levelno >= logging.ERROR:
            tell(self.format(record if own else _place(record)))


def _place(record: logging.LogRecord) -> logging.LogRecord:
    words = f"an error in {record.name} ({record.module} line {record.lineno})"
    made = {"msg": words, "created": record.created, "levelname": record.levelname}
    return logging.makeLogRecord(made)


class _Format(logging.Formatter):
    """A traceback without the words of its errors."""

    def formatException(self, ei: Any) -> str:
        return trace_without_words(ei[1])


def run_service(settings: "Settings", parts: "Callable[[Service], Sequence[Part]]") -> None:
    """Until SIGTERM or Ctrl-C. What happens goes to standard error, for the system's journal."""
    from vfx_edge.service.daemon import serve

    handler = _ToStandardError()
    handler.setFormatter(_Format("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)
    for name in ("pynetdicom", "pydicom", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # lest every odd object be an error
    ready = f"vfx-edge: ready, spool {settings.spool}"
    serve(settings, parts, on_ready=lambda: tell(ready))
