"""Every backend and precision that was asked for, one row each, the reference before all others."""

from pathlib import Path
from typing import Any

from vfx_edge.backends import default_backends
from vfx_edge.bench.measured import Failure, Measured, measure
from vfx_edge.bench.parity import REFERENCE, Parity, judge
from vfx_edge.bench.processes import same_error
from vfx_edge.bench.record import Row, Throughput, Unavailable
from vfx_edge.bench.settings import OnNote, Settings, Steps
from vfx_edge.bench.worker import Order
from vfx_edge.errors import BackendError
from vfx_edge.manifest import ModelManifest


class NothingMeasured(BackendError):
    """Every backend that could have been measured failed."""

    def __init__(self, failures: list[Unavailable]) -> None:
        tried = "; ".join(f"{one.name}: {one.reason}" for one in failures)
        super().__init__(f"nothing could be measured ({tried}): see `vfx-edge doctor`")


class Rows:
    """One benchmark's rows; `measure` fills `done` and `failed`."""

    def __init__(
        self, settings: Settings, manifest: ModelManifest, path: Path, folder: Path, note: OnNote
    ) -> None:
        """path: the scan. folder: scratch, left as it is."""
        self._settings = settings
        self._manifest = manifest
        self._path = path
        self._folder = folder
        self._note = note
        self._reference: Measured | None = None
        self._default = ""
        self.done: list[Row] = []
        self.failed: list[Unavailable] = []
        self.input: dict[str, Any] = {}
        self.throughput: Throughput | None = None

    def measure(self, names: list[str], steps: Steps) -> None:
        """Measure these backends, all available. What was named and fails raises a VfxError; what
        was not named and fails goes into `failed`."""
        self._default = names[0] if names else ""
        first = [REFERENCE[0]] if default_backends()[REFERENCE[0]].availability().available else []
        queue = list(dict.fromkeys((*first, *names)))
        for at, name in enumerate(queue):
            part = steps.part(at, len(queue))
            if name == REFERENCE[0]:
                self._measure_reference(name in names, part)
            if name in names:
                self._measure_backend(name, part)
        if not self.done:
            raise NothingMeasured(self.failed)
        self.done.sort(key=lambda row: names.index(row.backend))

    def _measure_reference(self, is_a_row: bool, steps: Steps) -> None:
        wanted = self._settings.precisions or ("auto",)
        is_a_row = is_a_row and bool({"auto", REFERENCE[1]} & {*wanted})
        self._reference = self._ask(*REFERENCE, steps.part(0, 1), shown=is_a_row)
        if (failure := self._reference.failure) and failure.exit_code != BackendError.exit_code:
            raise same_error(
                failure.exit_code, failure.message
            )  # so it will be with all the others

    def _measure_backend(self, name: str, steps: Steps) -> None:
        """What was asked for, else what the backend takes by itself and then what else it can."""
        asked = self._settings.precisions
        waiting = list(asked or ("auto",))
        seen: set[str] = set()
        while waiting:
            precision = waiting.pop(0)
            if precision in seen:
                continue
            part = steps.part(len(seen) // 2, len(seen) // 2 + 1 + max(len(waiting), not asked))
            measured = self._known(name, precision) or self._ask(name, precision, part)
            if measured.failure is not None:
                self._fail(name, precision, measured.failure)
            elif measured.precision not in seen:
                self.done.append(measured.row(self._parity(measured)))
                self.throughput = measured.throughput or self.throughput
            seen |= {precision, measured.precision}
            waiting += [] if asked else measured.precisions

    def _known(self, name: str, precision: str) -> Measured | None:
        """The reference, where that is what was asked for."""
        found = self._reference
        if found is None or name != REFERENCE[0]:
            return None
        only = precision == "auto" and found.precisions == (REFERENCE[1],)
        return found if precision == REFERENCE[1] or only else None

    def _ask(self, name: str, precision: str, steps: Steps, *, shown: bool = True) -> Measured:
        """A worker of its own. shown: it becomes a row, so warm runs are needed."""
        settings = self._settings
        is_reference = (name, precision) == REFERENCE and self._reference is None
        wanted = {"auto", REFERENCE[1]} if is_reference else {(settings.precisions or ("auto",))[0]}
        counts = shown and name == self._default and precision in wanted
        label = f"{name} {precision}"
        here = Steps(steps.on_step, steps.low, steps.high, label if shown else f"reference {label}")
        order = Order(
            path=str(self._path),
            out=str(self._folder / "out"),
            model=str(self._manifest.directory),
            backend=name,
            precision=precision,
            repeat=settings.repeat if shown else 0,
            duration_s=settings.duration_s,
            studies=settings.studies if counts else 0,
            patches=str(self._folder / "asked.npz"),
            reference=is_reference,
            describe=not self.input,
        )
        cache = self._folder / f"cache-{name}-{precision}"
        cache.mkdir(exist_ok=True)
        measured = measure(order, cache, here.report, self._note)
        self.input = measured.input or self.input
        return measured

    def _parity(self, measured: Measured) -> Parity:
        reference = self._reference
        if reference is None or reference.failure is not None:
            return Parity("not compared", f"the reference, {' '.join(REFERENCE)}, did not run")
        if measured is reference:
            return Parity("reference")
        return judge(measured.facts, reference.facts[0], measured.networks, measured.unasked)

    def _fail(self, name: str, precision: str, failure: Failure) -> None:
        """What was named works or is an error; what was only tried is listed."""
        settings = self._settings
        named = settings.backends is not None
        found = named and (precision == "auto" or settings.precisions is not None)
        reason = failure.message
        if failure.kind == "crashed":
            reason = f"backend '{name}' can't be measured in {precision} ({reason}): choose another"
        alone = self._reference is None and failure.exit_code != BackendError.exit_code
        if found or alone:
            raise same_error(failure.exit_code, reason)
        self.failed.append(Unavailable(f"{name} {precision}", reason))
