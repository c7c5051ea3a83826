"""What `vfx-edge listen` and `vfx-edge watch` share: their options, and how the service is run."""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vfx_edge.cli import parse
from vfx_edge.cli.options import Backend as RunBackend
from vfx_edge.errors import VfxError
from vfx_edge.outputs.kinds import KINDS, defaults, dicom_kinds
from vfx_edge.tasks import DEFAULT

if TYPE_CHECKING:
    from vfx_edge.service.daemon import Part, Service
    from vfx_edge.service.settings import Settings
    from vfx_edge.service.web.metrics import Metrics

NEEDED = (
    "pynetdicom",
    "persistqueue",
    "filelock",
    "pydantic",
    "requests",
    "uvicorn",
    "starlette",
    "sse_starlette",
    "prometheus_client",
)


class ServiceNotInstalled(VfxError):
    """The extra `service` is not installed."""

    exit_code = 2

    def __init__(self, missing: Sequence[str]) -> None:
        super().__init__(
            f"The service needs {' and '.join(missing)}: pip install 'vfx-edge[service]'."
        )


Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE.toml",
        help="Settings; options given here overrule it. What may stand there: docs/integration.md.",
        show_default=False,
        readable=False,
    ),
]
Spool = Annotated[
    Path | None,
    typer.Option(
        "--spool",
        metavar="DIR",
        help="Where studies, results and the queue live until they are done; made if absent.",
        show_default="this user's state folder",
        readable=False,
    ),
]
Send = Annotated[
    list[str] | None,
    typer.Option(
        "--send",
        metavar="AETITLE@HOST:PORT|URL",
        help="Send DICOM results to this node by C-STORE, or to this DICOMweb server by STOW-RS. "
        "Can be given several times: each is tried until it has them, none waits for another.",
        show_default=False,
    ),
]
Quiet = Annotated[
    float | None,
    typer.Option(
        "--quiet-time",
        metavar="S",
        min=0.1,
        help="A study is complete when nothing has come for so many seconds.",
        show_default="30",
    ),
]
Http = Annotated[
    str | None,
    typer.Option(
        "--http",
        metavar="HOST:PORT",
        help="Show the worklist, pseudonymous, at this address, for example 127.0.0.1:8080.",
        show_default="no page",
    ),
]
Outputs = Annotated[
    str | None,
    typer.Option(
        "--outputs",
        metavar="LIST",
        help=f"What is written of each study, any of {','.join(KINDS)}.",
        show_default="json,html; with a destination all but nifti",
    ),
]
Language = Annotated[
    str | None,
    typer.Option(
        "--language",
        metavar="|".join(parse.LANGUAGES),
        help="Wording of the report.",
        show_default="en",
    ),
]
Backend = Annotated[str | None, *RunBackend.__metadata__]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME_OR_DIR",
        help="The model set: a name that `vfx-edge models list` shows, or a folder.",
        show_default="default",
    ),
]


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
    parse.one_of(settings.backend, parse.backends(), "backend")
    parse.one_of(settings.language, parse.LANGUAGES, "language of the report")
    return settings


def page(service: "Service", metrics: "Metrics") -> "list[Part]":
    """The worklist page, where the settings ask for one."""
    if not service.settings.http:
        return []
    from vfx_edge.service.web.http import HttpServer
    from vfx_edge.service.web.worklist import Worklist

    settings = service.settings
    worklist = Worklist(service.spool, service.jobs, service.sends, settings.show_accession)
    return [HttpServer(settings.http, settings.language, worklist, metrics)]


def _all_kinds(for_archives: bool) -> tuple[str, ...]:
    return (*defaults(), *(dicom_kinds() if for_archives else ()))


def check_installed() -> None:
    """ServiceNotInstalled."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ServiceNotInstalled(missing)


def run_service(settings: "Settings", parts: "Callable[[Service], Sequence[Part]]") -> None:
    """Until SIGTERM or Ctrl-C. What happens goes to standard error, for the system's journal."""
    from vfx_edge.service.daemon import serve

    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    for name in ("pynetdicom", "pydicom", "persistqueue", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # they tell what is in the objects
    logging.getLogger("filelock").setLevel(logging.WARNING)
    ready = f"vfx-edge: ready, spool {settings.spool}"
    serve(settings, parts, on_ready=lambda: print(ready, file=sys.stderr, flush=True))
