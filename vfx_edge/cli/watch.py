"""`vfx-edge watch`: a drop folder whose studies are triaged as they come."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vfx_edge.cli import serving

if TYPE_CHECKING:
    from vfx_edge.service.daemon import Part, Service

Folder = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER",
        help="Where studies are dropped: sub-folders, .zip, .nii.gz or DICOM files. What is called "
        "urgent… or stat… goes first.",
        show_default=False,
        readable=False,
    ),
]
Keep = Annotated[
    bool, typer.Option("--keep", help="Leave what was dropped where it is: copy, don't move it.")
]


def watch(
    folder: Folder,
    config: serving.Config = None,
    spool: serving.Spool = None,
    send: serving.Send = None,
    keep: Keep = False,
    quiet_time: serving.Quiet = None,
    http: serving.Http = None,
    outputs: serving.Outputs = None,
    workers: serving.Workers = None,
    backend: serving.Backend = None,
    device: serving.Device = None,
    gpu_memory: serving.GpuMemory = None,
    precision: serving.Precision = None,
    model: serving.Model = None,
    language: serving.Language = None,
) -> None:
    """Triage every CT that is put into a folder, and send the results on.

    Runs until it is stopped. Killed at any moment, it goes on where it was when started again; what
    can't be done stays listed by `vfx-edge queue list`, with the reason.
    """
    settings = serving.settings_from(
        *(config, send, outputs),
        spool=spool,
        quiet_s=quiet_time,
        http=http,
        **serving.of_machine(backend, device, gpu_memory, precision, workers),
        model=model,
        language=language,
    )
    from vfx_edge.service.daemon import ThreadPart
    from vfx_edge.service.receive.watcher import Watcher
    from vfx_edge.service.web.metrics import Metrics

    def parts(service: "Service") -> "Sequence[Part]":
        watcher = Watcher(folder, service.spool, service.completion, settings.quiet_s, keep=keep)
        return [*serving.page(service, Metrics()), ThreadPart("watcher", watcher.run)]

    serving.run_service(settings, parts)
