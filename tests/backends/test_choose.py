"""Which backend is taken is decided without a GPU here: availability is injected."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tests.fake_backend import FakeBackend, FakeNetwork
from tests.tiny_models import tiny_segmenter, write_full_set, write_set
from vfx_edge.backends import Availability, Backend, Budget, open_models
from vfx_edge.backends.errors import (
    BackendUnavailable,
    OnnxInvalid,
    OpenFailed,
)
from vfx_edge.backends.known import default_backends, probe_backends
from vfx_edge.cli import parse
from vfx_edge.errors import BackendError
from vfx_edge.manifest import ModelFileInvalid, ModelManifest, NetworkSpec, load_model_set
from vfx_edge.vocabulary import BACKENDS


class Stub(FakeBackend):
    """A backend of any name that is there or not, and opens or not."""

    def __init__(self, name: str, reason: str = "", breaks: BackendError | None = None) -> None:
        super().__init__()
        self.name, self.reason, self.breaks = name, reason, breaks
        self.opened: list[str] = []

    def availability(self, device: int = 0) -> Availability:
        if self.reason:
            return Availability(self.name, False, self.reason, "add it")
        return Availability(self.name, True, device=f"{self.name} device")

    def open(self, spec: NetworkSpec, onnx: bytes, precision: str, budget: Budget) -> FakeNetwork:
        if self.breaks and spec.roles == ("finder",):
            raise self.breaks
        self.opened.append(spec.name)
        return super().open(spec, onnx, precision, budget)


def known(*backends: Stub) -> Mapping[str, Backend]:
    return {backend.name: backend for backend in backends}


@pytest.fixture
def models(tmp_path: Path) -> ModelManifest:
    return load_model_set(write_full_set(tmp_path / "set"))


def test_auto_takes_the_first_that_is_there_and_says_why_not_the_others(
    models: ModelManifest,
) -> None:
    backends = known(
        Stub("tensorrt", "no library"), Stub("cuda", "no driver"), Stub("openvino"), Stub("cpu")
    )
    opened = open_models(models, backends=backends)
    assert opened.backend.requested == "auto"
    assert opened.backend.used == "openvino"
    assert opened.backend.skipped == (("tensorrt", "no library"), ("cuda", "no driver"))
    assert opened.backend.precision == "fp32"
    assert [use.role for use in opened.uses] == list(models.roles)
    assert opened.uses[0].sha256 == models.network("locator").sha256


def test_auto_goes_on_when_a_network_can_not_be_opened(models: ModelManifest) -> None:
    broken = Stub("cuda", breaks=OpenFailed("cuda", "tiny finder", "unsupported\nnode"))
    opened = open_models(models, backends=known(broken, Stub("cpu")))
    assert opened.backend.used == "cpu"
    ((name, reason),) = opened.backend.skipped
    assert name == "cuda"
    assert "unsupported node" in reason


def test_a_named_backend_is_never_replaced(models: ModelManifest) -> None:
    cpu = Stub("cpu")
    with pytest.raises(BackendUnavailable, match="'cuda' can't be used: no driver; add it"):
        open_models(models, "cuda", backends=known(Stub("cuda", "no driver"), cpu))
    broken = Stub("cuda", breaks=OpenFailed("cuda", "tiny finder", "no"))
    with pytest.raises(OpenFailed):
        open_models(models, "cuda", backends=known(broken, cpu))
    assert cpu.opened == []


def test_a_named_backend_skips_nothing(models: ModelManifest) -> None:
    opened = open_models(models, "cpu", backends=known(Stub("cuda"), Stub("cpu")))
    assert (opened.backend.used, opened.backend.skipped) == ("cpu", ())


def test_nothing_works(models: ModelManifest) -> None:
    with pytest.raises(
        BackendUnavailable, match=r"\(cuda: no driver; cpu: not built\): see `vfx-edge doctor`"
    ) as caught:
        open_models(models, backends=known(Stub("cuda", "no driver"), Stub("cpu", "not built")))
    assert caught.value.exit_code == 5


def test_unknown_backend(models: ModelManifest) -> None:
    with pytest.raises(BackendUnavailable, match=r"no backend 'coreml'.*openvino"):
        open_models(models, "coreml")


def test_auto_tries_every_backend_in_the_stated_order() -> None:
    assert [backend.name for backend in default_backends().values()] == list(BACKENDS)
    assert [state.name for state in probe_backends()] == list(BACKENDS)


def test_a_new_backend_is_one_file_and_one_row(
    models: ModelManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BACKENDS, "fake", "tests.fake_backend:FakeBackend")
    assert parse.one_of("fake", parse.backends(), "backend") == "fake"
    assert probe_backends()[-1] == Availability("fake", True, device="python")
    with open_models(models, "fake") as opened:
        assert opened.backend.used == "fake"
        assert opened.network("finder").run(np.zeros((1, 1, 8, 8, 8), np.float32)).shape[1] == 3


def test_every_unavailable_backend_says_why_and_what_would_help() -> None:
    for state in probe_backends():
        assert state.available != bool(state.reason)
        assert state.available != bool(state.remedy)
        assert "\n" not in state.reason + state.remedy


def test_a_changed_file_stops_everything_before_any_backend(models: ModelManifest) -> None:
    path = models.network("classifier").path
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    cpu = Stub("cpu")
    with pytest.raises(ModelFileInvalid) as caught:
        open_models(models, backends=known(cpu))
    assert caught.value.exit_code == 4
    assert cpu.opened == []


def test_a_wrong_signature_stops_everything_before_any_backend(tmp_path: Path) -> None:
    models = load_model_set(write_set(tmp_path / "set", {"locator": tiny_segmenter(patch=16)}))
    cpu = Stub("cpu")
    with pytest.raises(OnnxInvalid, match=r"'image' is \?x1x16x16x16, .* \?x1x8x8x8"):
        open_models(models, backends=known(cpu))
    assert cpu.opened == []


def test_joined_roles_share_one_network(tmp_path: Path) -> None:
    nets = {"locator+finder": tiny_segmenter(classes=5)}
    models = load_model_set(write_set(tmp_path / "set", nets))
    with open_models(models, backends=known(Stub("cpu"))) as opened:
        assert opened.network("locator") is opened.network("finder")
        assert len(opened.uses) == 2


def test_only_the_asked_roles_are_opened(models: ModelManifest) -> None:
    cpu = Stub("cpu")
    opened = open_models(models, roles=("classifier",), backends=known(cpu))
    assert cpu.opened == ["tiny classifier"]
    with pytest.raises(KeyError, match="not opened"):
        opened.network("locator")


def test_a_backend_whose_module_can_not_be_imported_is_a_state_with_a_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(BACKENDS, "absent", "no_such_module_at_all:Backend")
    state = default_backends()["absent"].availability()
    assert not state.available
    assert "no_such_module_at_all" in state.reason


def test_a_network_of_others_answers_before_a_study_depends_on_it(models: ModelManifest) -> None:
    cpu = Stub("cpu")
    with open_models(models, later=["classifier"], backends=known(cpu)):
        assert models.network("classifier").name in cpu.opened


def test_a_shipped_network_waits_until_it_is_asked() -> None:
    models, cpu = load_model_set(), Stub("cpu")
    with open_models(models, later=["classifier"], backends=known(cpu)) as opened:
        waits = opened.network("classifier")
        assert [use.role for use in opened.uses] == list(models.roles)
        assert waits.spec.name not in cpu.opened
        asked = np.zeros(waits.spec.shape(1), np.float32)
        assert waits.run(asked).shape == waits.spec.answer_shape(1)
        assert waits.spec.name in cpu.opened


def test_where_it_fails_later_auto_does_the_study_on_the_next_backend() -> None:
    class Breaks(Stub):
        def open(
            self, spec: NetworkSpec, onnx: bytes, precision: str, budget: Budget
        ) -> FakeNetwork:
            if "classifier" in spec.roles:
                raise OpenFailed(self.name, spec.name, "no")
            return super().open(spec, onnx, precision, budget)

    opened = open_models(load_model_set(), later=["classifier"],
                         backends=known(Breaks("openvino"), Stub("cpu")))  # fmt: skip
    assert opened.backend.used == "openvino"
    assert opened.answer(lambda: opened.network("classifier").precision) == "fp32"
    assert opened.backend.used == "cpu"
    assert opened.backend.failed[0][0] == "openvino"
