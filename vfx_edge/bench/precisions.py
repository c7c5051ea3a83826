"""Which number formats a backend could compute a model set in, asked without computing anything."""

from vfx_edge.backends import Budget, default_backends
from vfx_edge.backends.errors import BudgetTooSmall
from vfx_edge.errors import BackendError
from vfx_edge.fracture_task import Options, roles
from vfx_edge.manifest import ModelManifest, NetworkSpec
from vfx_edge.vocabulary import PRECISIONS

NOTHING = Budget(gpu_gib=0.0, host_gib=0.0)
"""With no memory to spend, a backend judges the precision and stops before it compiles."""


def possible_precisions(backend: str, manifest: ModelManifest) -> tuple[str, ...]:
    """Those in which this backend, available here, would open all networks of the chain."""
    return tuple(name for name in PRECISIONS if refusal(backend, manifest, name) is None)


def refusal(backend: str, manifest: ModelManifest, precision: str) -> BackendError | None:
    """Why this backend would not open the chain's networks in this precision; None if it would."""
    for role in roles(manifest, Options()):
        if (error := _refusal(backend, manifest.network(role), precision)) is not None:
            return error
    return None


def _refusal(backend: str, spec: NetworkSpec, precision: str) -> BackendError | None:
    try:
        default_backends()[backend].open(spec, spec.read(), precision, NOTHING).close()
    except BudgetTooSmall:
        return None
    except BackendError as error:
        return error
    return None
