"""The engines as a table, so that another one is a class and a row. Their libraries are loaded when
they are chosen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from vfx_edge.batch.engine import Engine, Processes, check_installed


@dataclass(frozen=True)
class Where:
    """What a cluster is told. ray_address: None, a cluster of our own on this machine. slurm: as
    `slurm_jobs.settings_of` reads it."""

    ray_address: str | None = None
    slurm: Mapping[str, str] = field(default_factory=dict)


def _ray(where: Where) -> Engine:
    check_installed("ray", "ray")
    from vfx_edge.batch.ray_actors import Ray

    return Ray(where.ray_address)


def _slurm(where: Where) -> Engine:
    check_installed("slurm", "submitit")
    from vfx_edge.batch.slurm_jobs import Slurm, settings_of

    return Slurm(settings_of(where.slurm))


ENGINES: Mapping[str, Callable[[Where], Engine]] = {
    "processes": lambda _where: Processes(),
    "ray": _ray,
    "slurm": _slurm,
}
