"""`vfx-edge listen`: a DICOM node whose studies are triaged as they come."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vfx_edge.cli import parse, serving

if TYPE_CHECKING:
    from vfx_edge.service.daemon import Part, Service

COMPLETE_ON = ("quiet", "association")

Title = Annotated[
    str | None,
    serving.option(
        "--ae-title",
        "TITLE",
        "What this node is called; associations that ask for another are refused.",
        "VFX-EDGE",
    ),
]
Host = Annotated[
    str | None,
    serving.option(
        "--host",
        "ADDRESS",
        "The address to listen at; 0.0.0.0 is every one of this machine. Beyond this machine, "
        "name the senders with --caller and --allow, or use TLS.",
        "127.0.0.1",
    ),
]
Port = Annotated[
    int | None, typer.Option("--port", min=1, max=65535, help="The port.", show_default="11112")
]
Caller = Annotated[
    list[str] | None,
    serving.option(
        "--caller",
        "TITLE",
        "Let in only nodes that call themselves so. Can be given several times.",
        "any",
    ),
]
Allow = Annotated[
    list[str] | None,
    serving.option(
        "--allow",
        "ADDRESS",
        "Let in only this address or network (10.1.0.0/16). Can be given several times.",
        "any",
    ),
]
Urgent = Annotated[
    list[str] | None,
    serving.option(
        "--urgent-caller", "TITLE", "Studies of this sender go first. Can be given several times."
    ),
]
CompleteOn = Annotated[
    str | None,
    serving.option(
        "--complete-on",
        "|".join(COMPLETE_ON),
        "When a study is complete: after the quiet time, or as soon as the association that "
        "brought it ends (for senders that send a whole study in one).",
        "quiet",
    ),
]
TlsCertificate = Annotated[
    Path | None,
    serving.option(
        "--tls-cert", "PEM", "Listen with TLS, by this certificate; with --tls-key and --tls-ca."
    ),
]
TlsKey = Annotated[Path | None, serving.option("--tls-key", "PEM", "Its key, without a password.")]
TlsAuthority = Annotated[
    Path | None,
    serving.option("--tls-ca", "PEM", "Who must have signed the senders' certificates."),
]


def listen(
    config: serving.Config = None,
    ae_title: Title = None,
    host: Host = None,
    port: Port = None,
    caller: Caller = None,
    allow: Allow = None,
    urgent_caller: Urgent = None,
    tls_cert: TlsCertificate = None,
    tls_key: TlsKey = None,
    tls_ca: TlsAuthority = None,
    complete_on: CompleteOn = None,
    quiet_time: serving.Quiet = None,
    spool: serving.Spool = None,
    send: serving.Send = None,
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
    """Triage every CT that is sent here by DICOM, and send the results on.

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
        ae_title=ae_title,
        host=host,
        port=port,
        callers=tuple(caller) if caller else None,
        addresses=tuple(allow) if allow else None,
        urgent_callers=tuple(urgent_caller) if urgent_caller else None,
        complete_on=parse.one_of(complete_on, COMPLETE_ON, "end of a study")
        if complete_on
        else None,
        tls=_tls(tls_cert, tls_key, tls_ca),
    )
    from vfx_edge.service.receive.listener import Listener
    from vfx_edge.service.web.metrics import Metrics

    metrics = Metrics()

    def parts(service: "Service") -> "Sequence[Part]":
        complete = service.completion.complete if settings.complete_on == "association" else None
        node = Listener(settings, service.spool, complete, metrics.count)
        return [*serving.page(service, metrics), node]

    serving.run_service(settings, parts)


def _tls(certificate: Path | None, key: Path | None, authority: Path | None) -> Any:
    given = (certificate, key, authority)
    if not any(given):
        return None
    if not all(given):
        raise typer.BadParameter("--tls-cert, --tls-key and --tls-ca go together: give all three")
    return {"certificate": certificate, "key": key, "ca": authority}
