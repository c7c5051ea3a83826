"""Which backend runs the networks: the named one or an error, with "auto" the first that works."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from vfx_edge.backends.budget import divide, settled
from vfx_edge.backends.closing import close
from vfx_edge.backends.errors import BackendUnavailable, RequestInvalid, reason_of
from vfx_edge.backends.known import default_backends, served_backend
from vfx_edge.backends.later import OpenedLater
from vfx_edge.backends.onnx_file import check_signature
from vfx_edge.backends.opened import OpenModels, log, passed_over_sentence, precisions
from vfx_edge.backends.proof import ask_once
from vfx_edge.backends.protocol import Availability, Backend, Budget, Network, OnServer
from vfx_edge.errors import BackendError
from vfx_edge.manifest import ModelManifest, NetworkSpec
from vfx_edge.study import BackendRequest, BackendUse, ModelUse, ServerUse
from vfx_edge.vocabulary import SERVED


def open_models(
    manifest: ModelManifest,
    requested: str | BackendRequest = "auto",
    *,
    budget: Budget | None = None,
    roles: Iterable[str] | None = None,
    later: Iterable[str] = (),
    backends: Mapping[str, Backend] | None = None,
) -> OpenModels:
    """Check the networks' hashes and signatures, open them side by side, and ask each once.

    requested: "auto" takes the first backend that works and records the others' reasons; a name
    works or raises a BackendError. budget: what else than the request's share of a card bounds the
    networks. roles: open only these. later: of them, opened only when they are asked, where nothing
    is to be proven before: on a CPU, in the precision of `auto`, of the shipped networks. backends:
    for tests and other runtimes.
    Raises ModelError when a file is missing, changed, or doesn't fit its manifest, RequestInvalid
    when the request makes no sense.
    """
    request = BackendRequest(requested) if isinstance(requested, str) else requested
    if request.problem:
        raise RequestInvalid(f"{request.problem}.")
    known = _known(request) if backends is None else backends
    if request.backend != "auto" and request.backend not in known:
        raise unknown_backend(request.backend, known)
    wanted = manifest.roles if roles is None else tuple(roles)
    if not wanted:  # a task without networks
        return OpenModels(manifest, {}, BackendUse(request.backend, "none", "", ""), ())
    budget = _budget(request, budget or Budget())
    plan = _Plan(manifest, wanted, tuple(later), request, budget, known)
    opened = _open(plan)
    if line := passed_over_sentence(opened.backend):
        log.warning("%s", line)
    return opened


def _known(request: BackendRequest) -> Mapping[str, Backend]:
    """What may be chosen: with a server no runtime of this machine is touched."""
    if request.backend in SERVED:
        return {request.backend: served_backend(request.backend, request.server)}
    return default_backends()


def with_server(server: str) -> dict[str, Backend]:
    """Every backend of this machine, and first the server. BackendUnavailable where it does not
    answer, UsageError where it can't be meant."""
    (name,) = SERVED
    served = served_backend(name, server)
    if not (state := served.availability()).available:
        raise unavailable(state)
    return {name: served, **default_backends()}


@dataclass(frozen=True)
class _Plan:
    """What to open, and on which of the backends."""

    manifest: ModelManifest
    roles: tuple[str, ...]
    later: tuple[str, ...]
    request: BackendRequest
    budget: Budget
    backends: Mapping[str, Backend]

    def after(self, name: str) -> "_Plan | None":
        """The same on what `auto` tries after this one; None where there is nothing."""
        left = dict(list(self.backends.items())[list(self.backends).index(name) + 1 :])
        named = self.request.backend != "auto"
        return None if named or not left else replace(self, backends=left)


@dataclass(frozen=True)
class _Tried:
    """A backend that could not be used. opened: it is here, and failed at the networks."""

    state: Availability
    reason: str
    opened: bool = False

    @property
    def line(self) -> tuple[str, str]:
        """As `BackendUse` has it."""
        return self.state.name, self.reason


def _open(plan: _Plan) -> OpenModels:
    specs = list({id(s): s for s in map(plan.manifest.network, plan.roles)}.values())
    with ThreadPoolExecutor(max_workers=len(specs)) as pool:
        onnx = list(pool.map(_read_checked, specs))
        shares = divide(specs, settled(plan.budget))
        opening = _Opening(specs, onnx, plan.request, shares, pool, plan.later)
        if plan.request.backend == "auto":
            networks, state, tried = _first_that_works(plan.backends, opening)
        else:
            networks, state = _open_named(plan.backends[plan.request.backend], opening)
            tried = ()
    by_role: dict[str, Network] = {
        role: n for n in networks for role in n.spec.roles if role in plan.roles
    }
    use = BackendUse(
        plan.request.backend,
        state.name,
        networks[0].device,
        precisions(networks),
        skipped=tuple(one.line for one in tried),
        passed_over=_passed_over(state, tried),
        server=_server_use(networks),
    )
    rest = plan.after(state.name)
    again = None if rest is None else partial(_open, rest)
    return OpenModels(plan.manifest, by_role, use, _model_uses(by_role), again, state.card)


def _passed_over(used: Availability, tried: tuple[_Tried, ...]) -> tuple[tuple[str, str], ...]:
    """What people want to know of: a card that is not used, or on which something failed. That one
    of two runtimes for a card is not installed is nothing to tell where the other one runs."""
    return tuple(one.line for one in tried if one.state.card and (one.opened or not used.card))


@dataclass(frozen=True)
class _Opening:
    """What to open, and the threads to do it with."""

    specs: list[NetworkSpec]
    onnx: list[bytes]
    request: BackendRequest
    budgets: list[Budget]
    """Each network's share."""
    pool: ThreadPoolExecutor
    later: tuple[str, ...]
    """Roles."""

    def open_on(self, backend: Backend, *, on_card: bool) -> list[Network]:
        """Every network, each of which has answered once where its answers are not known: on a
        card always, whose driver and libraries nobody tested together. BackendError leaves."""
        jobs = [
            self.pool.submit(self._open, backend, *one, on_card=on_card)
            for one in zip(self.specs, self.onnx, self.budgets, strict=True)
        ]
        try:
            networks = [job.result() for job in jobs]
            for network in networks:  # one after another, as in a study
                if on_card or not network.spec.shipped:
                    ask_once(network)
            return networks
        except Exception:
            for job in jobs:
                if job.exception() is None:
                    close(job.result())
            raise

    def _open(
        self, backend: Backend, spec: NetworkSpec, onnx: bytes, budget: Budget, *, on_card: bool
    ) -> Network:
        now = partial(backend.open, spec, onnx, self.request.precision, budget)
        proven = spec.shipped and not on_card and self.request.precision == "auto"
        wait = proven and set(spec.roles) <= set(self.later) and len(self.specs) > 1
        return OpenedLater(spec, now) if wait else now()


def _budget(request: BackendRequest, budget: Budget) -> Budget:
    budget = replace(budget, device=request.device)
    return budget if request.gpu_gib is None else replace(budget, gpu_gib=request.gpu_gib)


def _read_checked(spec: NetworkSpec) -> bytes:
    data = spec.read()
    check_signature(spec, data)
    return data


def _open_named(backend: Backend, opening: _Opening) -> tuple[list[Network], Availability]:
    state = backend.availability(opening.request.device)
    if not state.available:
        raise unavailable(state)
    # A server's answers are known no better than a card's.
    return opening.open_on(backend, on_card=state.card or state.away), state


def _first_that_works(
    known: Mapping[str, Backend], opening: _Opening
) -> tuple[list[Network], Availability, tuple[_Tried, ...]]:
    tried: list[_Tried] = []
    for backend in known.values():
        state = backend.availability(opening.request.device)
        if not state.available:
            tried.append(_Tried(state, state.reason))
            continue
        try:
            return opening.open_on(backend, on_card=state.card), state, tuple(tried)
        except BackendError as error:
            tried.append(_Tried(state, reason_of(error), opened=True))
    reasons = "; ".join(f"{name}: {reason}" for name, reason in (one.line for one in tried))
    raise BackendUnavailable(f"no backend can be used here ({reasons})", "see `vfx-edge doctor`")


def unknown_backend(name: str, known: Iterable[str]) -> BackendUnavailable:
    """The error for a name that no backend has."""
    return BackendUnavailable(
        f"there is no backend '{name}'", f"choose one of auto, {', '.join([*known, *SERVED])}"
    )


def unavailable(state: Availability) -> BackendUnavailable:
    """The error for a named backend that can't run here."""
    remedy = f"{state.remedy or 'choose another'}, or use --backend auto"
    return BackendUnavailable(f"backend '{state.name}' can't be used", f"{state.reason}; {remedy}")


def _server_use(networks: Iterable[Network]) -> ServerUse | None:
    """The server of all of them, which is one; None where this machine runs them."""
    uses = [network.server for network in networks if isinstance(network, OnServer)]
    models = tuple(model for use in uses for model in use.models)
    return replace(uses[0], models=models) if uses else None


def _model_uses(networks: Mapping[str, Network]) -> tuple[ModelUse, ...]:
    return tuple(ModelUse(role, n.spec.name, n.spec.sha256) for role, n in networks.items())
