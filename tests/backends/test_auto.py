"""What `auto` takes, what it says of the rest, and how it goes on when a network fails."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fake_backend import FakeBackend, FakeNetwork, zeros
from tests.fake_card import AMPERE, PASCAL, Card, Machine
from tests.test_tasks import KIND, TASK
from tests.tiny_models import write_full_set
from tests.toy_task import Likeliness
from vfx_edge.backends import Availability, Backend, Budget, OpenModels, choose, open_models
from vfx_edge.backends.errors import BackendUnavailable, OpenFailed, RequestInvalid, RunFailed
from vfx_edge.job import Job, run_alone
from vfx_edge.manifest import Demand, ModelManifest, NetworkSpec, load_model_set
from vfx_edge.outputs.dicom.ct_series import write_ct_series
from vfx_edge.outputs.kinds import KINDS
from vfx_edge.service.analyse import chain as service
from vfx_edge.study import BackendRequest
from vfx_edge.tasks import TASKS

LOST = "the GPU has fallen off the bus"


@dataclass
class Played(FakeBackend):
    """A backend of any name. fails: "absent", "open", "first" (answer), "middle" or never.
    `asked`: what was asked of it; `alive`: how many of its networks are open."""

    name: str
    fails: str = ""
    card: bool = False
    why: str = LOST

    def __post_init__(self) -> None:
        super().__init__(self._answer)
        self.answers = self.alive = 0
        self.asked: tuple[Any, ...] = ()

    def availability(self, device: int = 0) -> Availability:
        if self.fails == "absent":
            return Availability(self.name, False, self.why, "add it", card=self.card)
        return Availability(self.name, True, device=self.name, card=self.card)

    def open(self, spec: NetworkSpec, onnx: bytes, precision: str, budget: Budget) -> FakeNetwork:
        if self.fails == "open":
            raise OpenFailed(self.name, spec.name, self.why)
        self.asked = (precision, budget.device, budget.gpu_gib)
        self.alive += 1
        return Counted(spec, "fp32", 4, self)

    def _answer(self, spec: NetworkSpec, batch: Any) -> Any:
        self.answers += 1
        if self.fails == "first" or (self.fails == "middle" and self.answers > 6):
            raise RunFailed(self.name, spec.name, self.why)
        out = zeros(spec, batch)
        seen = batch[:, 0]  # not twice the same: another backend has to answer the same
        out[:, 1] = seen if out.ndim > 2 else seen.mean(axis=(1, 2, 3))
        return out


class Counted(FakeNetwork):
    """Its backend knows whether it is open. A lost card refuses to be closed, too."""

    def __init__(self, spec: NetworkSpec, precision: str, limit: int, owner: Played) -> None:
        super().__init__(spec, precision, limit, owner._answer)
        self._owner, self._open = owner, True

    def close(self) -> None:
        self._owner.alive -= self._open
        self._open = False
        if self._owner.fails in ("first", "middle"):
            raise RuntimeError(LOST)


def known(*backends: Played) -> Mapping[str, Backend]:
    return {backend.name: backend for backend in backends}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModelManifest:
    return load_model_set(write_full_set(tmp_path_factory.mktemp("auto") / "set"))


def a_card(fails: str, why: str = LOST) -> tuple[Played, Played]:
    """Two runtimes for a card, which fail alike."""
    return Played("tensorrt", fails, True, why), Played("cuda", fails, True, why)


@pytest.mark.parametrize(
    ("backends", "used", "passed_over", "sentence"),
    [
        ((*a_card(""), Played("cpu")), "tensorrt", [], ""),
        ((Played("cuda", "absent"), Played("cpu")), "cpu", [], ""),
        ((Played("cuda", "open"), Played("cpu")), "cpu", [], ""),
        (
            (
                Played("tensorrt", "absent", True, "the driver is too old; no library"),
                *(Played("cuda", "absent", True, "the driver is too old"), Played("cpu")),
            ),
            *("cpu", ["tensorrt", "cuda"]),
            "passed over tensorrt, cuda (the driver is too old) and took cpu: `vfx-edge doctor`",
        ),
        (
            (Played("tensorrt", "absent", True, "no library"), Played("cuda", "", True)),
            *("cuda", [], ""),
        ),
        (
            (Played("tensorrt", "open", True), Played("cuda", "first", True), Played("cpu")),
            *("cpu", ["tensorrt", "cuda"], f"passed over tensorrt, cuda ({LOST}) and took cpu"),
        ),
        (
            (Played("tensorrt", "first", True), Played("cuda", "", True), Played("cpu")),
            *("cuda", ["tensorrt"], f"passed over tensorrt ({LOST}) and took cuda"),
        ),
        (
            (
                Played("tensorrt", "absent", True, "no library"),
                *(Played("cuda", "first", True), Played("openvino", "first"), Played("cpu")),
            ),
            "cpu",
            ["tensorrt", "cuda"],
            f"passed over tensorrt (no library), cuda ({LOST}) and took cpu",
        ),
    ],
)
def test_what_auto_takes_and_says(
    models: ModelManifest,
    caplog: pytest.LogCaptureFixture,
    backends: tuple[Played, ...],
    used: str,
    passed_over: list[str],
    sentence: str,
) -> None:
    opened = open_models(models, backends=known(*backends))
    assert opened.backend.used == used
    assert [name for name, _ in opened.backend.passed_over] == passed_over
    before = [one.name for one in backends[: [one.name for one in backends].index(used)]]
    assert [name for name, _ in opened.backend.skipped] == before
    said = " ".join(opened.warnings)
    assert sentence in said
    assert bool(said) == bool(sentence) == bool(caplog.messages)
    assert {one.name for one in backends if one.alive} == {used}, "what failed is closed"


def test_nothing_that_answers_is_left(models: ModelManifest) -> None:
    both = Played("cuda", "first", True), Played("cpu", "first")
    with pytest.raises(BackendUnavailable, match=rf"cuda: {LOST}; cpu: {LOST}.*vfx-edge doctor"):
        open_models(models, backends=known(*both))
    assert not any(one.alive for one in both)


def test_a_named_backend_that_does_not_answer_ends_there(models: ModelManifest) -> None:
    cpu = Played("cpu")
    with pytest.raises(RunFailed, match=LOST) as caught:
        open_models(models, "cuda", backends=known(Played("cuda", "first", True), cpu))
    assert caught.value.exit_code == 5
    assert not cpu.answers


def test_on_a_cpu_the_shipped_networks_need_not_answer_first() -> None:
    for card, asked in ((False, 0), (True, 1)):
        backend = Played("one", card=card)
        open_models(load_model_set(), roles=("classifier",), backends=known(backend))
        assert backend.answers == asked


def test_what_is_asked_of_the_machine_comes_to_the_backend(models: ModelManifest) -> None:
    cuda = Played("cuda", card=True)
    open_models(
        models, BackendRequest("auto", "fp32", 1, 6.0), roles=("finder",), backends=known(cuda)
    )
    precision, device, gib = cuda.asked
    assert (precision, device) == ("fp32", 1)
    assert 0 < gib <= 6.0


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"device": -1}, "no card number -1"),
        ({"gpu_gib": 0.0}, "0 GiB of a card's memory"),
        ({"gpu_gib": float("nan")}, "nan GiB"),
        ({"precision": "fp99"}, "'fp99' is no precision: use one of auto, fp32"),
    ],
)
def test_nonsense_is_wrong_usage(
    models: ModelManifest, asked: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(RequestInvalid, match=sentence) as caught:
        open_models(models, BackendRequest(**asked))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("cards", "state", "device", "sentence"),
    [
        ((), {}, 0, ""),
        ((AMPERE,), {"fail": {"cuDeviceGetCount": 100}}, 0, "tensorrt-rtx, tensorrt, cuda ("),
        (
            (AMPERE,),
            {"cuda": (12, 2), "driver": "535.183.01"},
            0,
            "tensorrt-rtx, tensorrt, cuda (the driver 535.183.01 serves CUDA 12.2, and CUDA 13 is "
            "needed) and took",
        ),
        ((PASCAL,), {}, 0, "tensorrt-rtx, tensorrt, cuda (Quadro P5000 has compute capability 6.1"),
        ((AMPERE,), {}, 1, "tensorrt-rtx, tensorrt, cuda (there is no card number 1"),
    ],
)
def test_what_is_said_on_a_machine_whose_card_can_not_be_used(
    models: ModelManifest,
    machine: Machine,
    cards: tuple[Card, ...],
    state: dict[str, Any],
    device: int,
    sentence: str,
) -> None:
    machine.play(*cards, **state)
    with open_models(models, BackendRequest(device=device), roles=("finder",)) as opened:
        assert opened.backend.used in ("openvino", "cpu")
        said = " ".join(opened.warnings)
    assert sentence in said
    assert bool(said) == bool(sentence)
    with pytest.raises(BackendUnavailable) as caught:
        open_models(models, BackendRequest("cuda", device=device), roles=("finder",))
    assert caught.value.exit_code == 5


def ask(models: OpenModels) -> Callable[[], int]:
    """Something like a study: two networks are asked, one more than once."""

    def asked() -> int:
        for role in ("locator", "finder", "locator"):
            spec = models.network(role).spec
            models.network(role).probabilities(np.zeros(spec.shape(6), np.float32))
        return 1

    return asked


def test_a_second_failure_ends_it(models: ModelManifest) -> None:
    twice = known(Played("cuda", "middle", True), Played("openvino", "middle"), Played("cpu"))
    opened = open_models(models, backends=twice)
    with pytest.raises(RunFailed, match="'openvino' failed"):
        opened.answer(ask(opened))
    assert opened.answer(ask(opened)) == 1, "the next study begins on what is left"
    assert opened.backend.used == "cpu"


def test_where_nothing_is_left_the_failure_itself_is_told(models: ModelManifest) -> None:
    for rest in ((), (Played("cpu", "open"),)):
        opened = open_models(models, backends=known(Played("cuda", "middle", True), *rest))
        with pytest.raises(RunFailed, match=rf"'cuda' failed while .*{LOST}"):
            opened.answer(ask(opened))


@pytest.fixture
def lossy(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Played, Played]]:
    """A card that is lost in the middle of a study, and a processor."""
    both = Played("cuda", "middle", True), Played("cpu")
    monkeypatch.setattr(choose, "default_backends", lambda: known(*both))
    monkeypatch.setitem(TASKS, TASK.name, TASK)
    monkeypatch.setitem(KINDS, KIND.name, KIND)
    yield both
    assert not any(one.alive for one in both), "all that was opened is closed"


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scan")
    hu = np.random.default_rng(1).integers(-200, 600, (12, 16, 16)).astype(np.int16)
    write_ct_series(hu, np.diag([4.0, 4.0, 4.0, 1.0])[[2, 1, 0, 3]], folder)
    return folder


@pytest.mark.usefixtures("lossy")
def test_a_card_lost_in_the_middle_costs_time_and_no_study(
    models: ModelManifest, scan: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = Job(scan, tmp_path / "auto", task=TASK.name)
    answer = run_alone(job, "auto", str(models.directory)).answer
    used = answer.run.backend
    assert (used.used, used.skipped, used.failed) == ("cpu", (), (("cuda", LOST),))
    sentence = f"In the middle of this study cuda failed ({LOST})"
    assert [line for line in answer.run.warnings if line.startswith(sentence)] == caplog.messages
    told = json.loads((tmp_path / "auto" / "result.json").read_text("utf-8"))["run"]
    assert told["backend"]["failed"] == [{"name": "cuda", "reason": LOST}]
    plain = run_alone(replace(job, out=tmp_path / "cpu"), "cpu", str(models.directory)).answer
    assert isinstance(answer, Likeliness)
    assert isinstance(plain, Likeliness)
    np.testing.assert_array_equal(answer.image.values, plain.image.values)
    assert np.ptp(plain.image.values) > 0


@pytest.mark.usefixtures("lossy")
def test_a_named_card_lost_in_the_middle_ends_the_command(
    models: ModelManifest, scan: Path, tmp_path: Path
) -> None:
    with pytest.raises(RunFailed, match=LOST) as caught:
        run_alone(Job(scan, tmp_path / "out", task=TASK.name), "cuda", str(models.directory))
    assert caught.value.exit_code == 5
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("lossy")
def test_in_the_service_the_study_is_done_and_the_process_begins_anew(
    models: ModelManifest, scan: Path, tmp_path: Path
) -> None:
    chain = service.OpenChain(BackendRequest(), str(models.directory), Demand(None, None))
    job = Job(scan, tmp_path / "out", task=TASK.name)
    assert chain(job) == service.BEGIN_ANEW
    assert chain(job) is None, "whoever goes on all the same has the backend that works"
    told = json.loads((tmp_path / "out" / "result.json").read_text("utf-8"))["run"]
    assert told["backend"]["used"] == "cpu"
    assert told["backend"]["failed"] == []
    assert told["backend"]["passed_over"] == [{"name": "cuda", "reason": LOST}]
    chain._models.close()


def test_networks_give_their_first_answers_one_after_another(models: ModelManifest) -> None:
    """Two threads that ask OpenVINO for the first time at once may wait for each other for ever."""
    inside: list[str] = []

    def alone(spec: NetworkSpec, batch: Any) -> Any:
        inside.append(spec.name)
        time.sleep(0.02)
        assert len(inside) == 1, inside
        inside.clear()
        return zeros(spec, batch)

    with open_models(models, "fake", backends={"fake": FakeBackend(alone)}) as opened:
        assert opened.uses
