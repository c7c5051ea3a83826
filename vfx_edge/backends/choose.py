"""Which backend runs the networks: the named one or an error, with "auto" the first that works."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pkgutil import resolve_name
from types import TracebackType
from typing import Self, cast

from vfx_edge.backends.budget import divide, settled
from vfx_edge.backends.errors import BackendUnavailable
from vfx_edge.backends.onnx_file import check_signature
from vfx_edge.backends.protocol import Availability, Backend, Budget, Network
from vfx_edge.errors import BackendError, first_line
from vfx_edge.manifest import ModelManifest, NetworkSpec
from vfx_edge.study import BackendUse, ModelUse
from vfx_edge.vocabulary import BACKENDS


def default_backends() -> dict[str, Backend]:
    """Every backend by name, in the order in which `auto` tries them."""
    return {name: _made(name, kind) for name, kind in BACKENDS.items()}


@dataclass(frozen=True)
class _NotInstalled:
    """A backend whose module can't be imported: its runtime is missing."""

    name: str
    reason: str

    def availability(self, device: int = 0) -> Availability:
        return Availability(self.name, False, self.reason, "install what it needs")

    def open(self, spec: NetworkSpec, onnx: bytes, precision: str, budget: Budget) -> Network:
        raise BackendUnavailable(f"backend '{self.name}' ({self.reason})", "install what it needs")


def _made(name: str, kind: str) -> Backend:
    try:
        return cast(Backend, resolve_name(kind)())
    except ImportError as error:
        return _NotInstalled(name, first_line(error))


def probe_backends() -> tuple[Availability, ...]:
    """The state of every backend that can be asked for, in `auto`'s order."""
    return tuple(backend.availability() for backend in default_backends().values())


@dataclass(frozen=True, eq=False)
class OpenModels:
    """The networks of a model set, opened on one backend. Close it, or use it in a `with`."""

    manifest: ModelManifest
    networks: Mapping[str, Network]
    """By role; joined roles share one."""
    backend: BackendUse
    uses: tuple[ModelUse, ...]

    def network(self, role: str) -> Network:
        """The opened network of a role; RoleMissing when the set fills none."""
        if role not in self.networks:
            # Either the set has none (raises), or it was left out when opening: our own bug.
            raise KeyError(f"'{self.manifest.network(role).name}' was not opened")
        return self.networks[role]

    @property
    def warnings(self) -> tuple[str, ...]:
        """All that went differently from plan so far, in any network."""
        unique = {id(network): network for network in self.networks.values()}
        return tuple(line for network in unique.values() for line in network.warnings)

    def close(self) -> None:
        """Free every network."""
        for network in self.networks.values():
            network.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_models(
    manifest: ModelManifest,
    requested: str = "auto",
    *,
    budget: Budget | None = None,
    precision: str = "auto",
    roles: Iterable[str] | None = None,
    backends: Mapping[str, Backend] | None = None,
) -> OpenModels:
    """Check the networks' hashes and signatures and open them side by side.

    requested: "auto" takes the first backend that works and records the others' reasons; a name
    works or raises a BackendError. roles: open only these. backends: for tests and other runtimes.
    Raises ModelError when a file is missing, changed, or doesn't fit its manifest.
    """
    known = default_backends() if backends is None else backends
    if requested != "auto" and requested not in known:
        raise unknown_backend(requested, known)
    wanted = manifest.roles if roles is None else tuple(roles)
    specs = list({id(s): s for s in (manifest.network(role) for role in wanted)}.values())
    if not specs:  # a task without networks
        return OpenModels(manifest, {}, BackendUse(requested, "none", "", ""), ())
    with ThreadPoolExecutor(max_workers=max(1, len(specs))) as pool:
        onnx = list(pool.map(_read_checked, specs))
        request = _Request(specs, onnx, precision, divide(specs, settled(budget or Budget())), pool)
        if requested == "auto":
            networks, used, skipped = _first_that_works(known, request)
        else:
            networks, used, skipped = _open_named(known[requested], request), requested, ()
    by_role: dict[str, Network] = {
        role: n for n in networks for role in n.spec.roles if role in wanted
    }
    use = BackendUse(requested, used, networks[0].device, _precisions(networks), skipped)
    return OpenModels(manifest, by_role, use, _model_uses(by_role))


@dataclass(frozen=True)
class _Request:
    """What to open, and the threads to do it with."""

    specs: list[NetworkSpec]
    onnx: list[bytes]
    precision: str
    budgets: list[Budget]
    """Each network's share."""
    pool: ThreadPoolExecutor

    def open_on(self, backend: Backend) -> list[Network]:
        jobs = [
            self.pool.submit(backend.open, spec, onnx, self.precision, budget)
            for spec, onnx, budget in zip(self.specs, self.onnx, self.budgets, strict=True)
        ]
        try:
            return [job.result() for job in jobs]
        except Exception:
            for job in jobs:
                if job.exception() is None:
                    job.result().close()
            raise


def _read_checked(spec: NetworkSpec) -> bytes:
    data = spec.read()
    check_signature(spec, data)
    return data


def _open_named(backend: Backend, request: _Request) -> list[Network]:
    state = backend.availability()
    if not state.available:
        raise unavailable(state)
    return request.open_on(backend)


def _first_that_works(
    known: Mapping[str, Backend], request: _Request
) -> tuple[list[Network], str, tuple[tuple[str, str], ...]]:
    skipped: list[tuple[str, str]] = []
    for name, backend in known.items():
        state = backend.availability()
        if not state.available:
            skipped.append((name, state.reason))
            continue
        try:
            return request.open_on(backend), name, tuple(skipped)
        except BackendError as error:
            skipped.append((name, str(error)))
    tried = "; ".join(f"{name}: {reason}" for name, reason in skipped)
    raise BackendUnavailable(f"no backend can be used here ({tried})", "see `vfx-edge doctor`")


def unknown_backend(name: str, known: Iterable[str]) -> BackendUnavailable:
    """The error for a name that no backend has."""
    return BackendUnavailable(
        f"there is no backend '{name}'", f"choose one of auto, {', '.join(known)}"
    )


def unavailable(state: Availability) -> BackendUnavailable:
    """The error for a named backend that can't run here."""
    remedy = f"{state.remedy or 'choose another'}, or use --backend auto"
    return BackendUnavailable(f"backend '{state.name}' can't be used", f"{state.reason}; {remedy}")


def _precisions(networks: list[Network]) -> str:
    return "+".join(dict.fromkeys(network.precision for network in networks))


def _model_uses(networks: Mapping[str, Network]) -> tuple[ModelUse, ...]:
    return tuple(ModelUse(role, n.spec.name, n.spec.sha256) for role, n in networks.items())
