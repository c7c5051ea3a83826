"""Who does the studies of a batch: the options that say so."""

from typing import TYPE_CHECKING, Annotated

import typer

from vfx_edge.cli import parse

if TYPE_CHECKING:
    from vfx_edge.batch.engine import Engine as AnyEngine

Engine = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="NAME",
        help="Who does the studies: processes (on this machine), ray (actors of a Ray cluster; "
        "without --ray-address of one on this machine) or slurm (array jobs).",
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        metavar="ADDRESS",
        help="For --engine ray: the Ray cluster that is used, HOST:6379, or auto for the one that "
        "this machine belongs to. Its machines see the studies and OUT at the same paths.",
        show_default=False,
    ),
]
Slurm = Annotated[
    list[str] | None,
    typer.Option(
        "--slurm",
        metavar="KEY=VALUE",
        help="For --engine slurm, as often as needed: chunk (studies a job, 50), cluster (local: "
        "jobs on this machine, without Slurm), and what submitit knows: timeout_min, mem_gb, "
        "cpus_per_task, gpus_per_node, slurm_partition, slurm_account, slurm_qos and others.",
        show_default=False,
    ),
]


def chosen(
    engine: str, workers: int | None, ray_address: str | None, slurm: list[str] | None
) -> "AnyEngine":
    """BadParameter; EngineNotInstalled."""
    from vfx_edge.batch.engines import ENGINES, Where

    name = parse.one_of(engine, tuple(ENGINES), "engine")
    if ray_address is not None and name != "ray":
        raise typer.BadParameter("--ray-address is for --engine ray")
    if ray_address is not None and ray_address.strip() in ("", "local"):
        # Ray would begin a cluster with its own settings: open to others, files in the home folder
        raise typer.BadParameter(
            "--ray-address names a cluster that runs, HOST:6379 or auto: leave it out for one of "
            "this batch's own"
        )
    if slurm and name != "slurm":
        raise typer.BadParameter("--slurm is for --engine slurm")
    if workers is None and (name == "slurm" or ray_address is not None):
        raise typer.BadParameter("say with --workers how many the cluster shall run at once")
    pairs = dict(_pair(text) for text in slurm or [])
    return ENGINES[name](Where(ray_address, pairs))


def _pair(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not (key and sign and value):
        raise typer.BadParameter(f"{text!r} is no KEY=VALUE")
    return key, value
