"""A server's networks: the same numbers, everything that can be wrong with it named, and nothing
sent but numbers."""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tritonclient.grpc", reason="needs the extra kserve")

from tests.backends.played_server import BATCH, Played, opened, serving, settings
from tests.tiny_models import tiny_segmenter, write_set
from tests.waiting import HANG_S
from vfx_edge.backends import open_models
from vfx_edge.backends.errors import RunFailed, ServedOtherwise, ServerFailed
from vfx_edge.backends.kserve_backend import KServeBackend, request_size
from vfx_edge.backends.kserve_client import MOST_TOLD
from vfx_edge.backends.kserve_names import model_name
from vfx_edge.backends.kserve_settings import VARIABLE, server_of
from vfx_edge.cli.models import verify
from vfx_edge.errors import BackendError
from vfx_edge.manifest import ModelManifest, load_model_set
from vfx_edge.study import BackendRequest
from vfx_edge.vocabulary import BACKENDS


def test_it_answers_as_this_machine_would_and_the_result_names_it(
    models: ModelManifest, played: Played
) -> None:
    with open_models(models, "cpu") as local:
        wanted = {role: local.network(role).run(BATCH) for role in ("finder", "classifier")}
    with serving(played) as port, opened(models, f"grpc://127.0.0.1:{port}") as there:
        for role, answer in wanted.items():
            np.testing.assert_array_equal(there.network(role).run(BATCH), answer)
        use, spec = there.backend, models.network("finder")
    assert (use.requested, use.used, use.precision) == ("kserve", "kserve", "fp32")
    assert use.device == f"played 1.0 at 127.0.0.1:{port}"
    assert use.server is not None
    assert (use.server.address, use.server.tls) == (f"127.0.0.1:{port}", False)
    (served,) = (one for one in use.server.models if one.network == spec.name)
    assert (served.model, served.version) == (model_name(spec, "fp32"), "1")
    assert spec.sha256 in served.model


def test_several_requests_are_on_their_way_at_once(models: ModelManifest, played: Played) -> None:
    """Each is held until all four are there."""
    with serving(played) as port, opened(models, f"grpc://127.0.0.1:{port}") as there:
        network = there.network("finder")
        assert (request_size(network.spec), network.batch_limit) == (2, 8)
        played.gather = threading.Barrier(4)
        assert len(network.run(BATCH[:8])) == 8


def test_nothing_is_sent_but_names_and_numbers(models: ModelManifest, played: Played) -> None:
    with serving(played) as port, opened(models, f"grpc://127.0.0.1:{port}") as there:
        there.network("finder").run(BATCH[:1])
        request = played.asked[-1]
    assert request.raw_input_contents[0] == BATCH[:1].tobytes()
    request.ClearField("raw_input_contents")
    spec = models.network("finder")
    request.inputs[0].ClearField("shape")
    told = set(str(request).replace('"', " ").split())
    assert told <= {
        *("model_name:", model_name(spec, "fp32"), "model_version:", "1"),
        *("inputs", "outputs", "{", "}", "name:", "datatype:", "FP32"),
        *(spec.input.name, spec.output.name),
    }
    known = {"user-agent", "grpc-accept-encoding", "accept-encoding"}
    assert set().union(*played.headers) <= known


def test_it_is_no_part_of_auto(models: ModelManifest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "grpc://127.0.0.1:1")
    assert "kserve" not in BACKENDS
    with open_models(models, "auto", roles=("finder",)) as local:
        assert "kserve" not in {local.backend.used, *(name for name, _ in local.backend.skipped)}
    assert server_of("").address == "127.0.0.1:1"


def test_no_runtime_of_this_machine_is_loaded(models: ModelManifest, played: Played) -> None:
    """In a process of its own: this one has them all."""
    program = (
        "import sys; from vfx_edge.backends import open_models\n"
        "from vfx_edge.manifest import load_model_set\n"
        f"with open_models(load_model_set({str(models.directory)!r}), 'kserve'): pass\n"
        "print(sorted({'onnxruntime', 'openvino', 'tensorrt', 'onnx', 'torch'} & set(sys.modules)))"
    )
    program = program.replace("'kserve'", "BackendRequest.of('kserve')").replace(
        "import sys;", "import sys; from vfx_edge.study import BackendRequest;"
    )
    with serving(played) as port:
        ended = subprocess.run(
            [sys.executable, "-c", program],
            env={VARIABLE: f"grpc://127.0.0.1:{port}", "PYTHONPATH": ":".join(sys.path)},
            capture_output=True, text=True, timeout=HANG_S, check=False,
        )  # fmt: skip
    assert (ended.stdout.strip(), ended.stderr) == ("[]", "")


def _retell(**more: object) -> Callable[[Any], None]:
    def changed(told: Any) -> None:
        for name, value in more.items():
            where, _, what = name.partition("_")
            tensor = getattr(told, where)[0]
            if what == "shape":
                tensor.ClearField("shape")
                tensor.shape.extend(value)
            else:
                setattr(tensor, what, value)

    return changed


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"retell": _retell(inputs_shape=[-1, 1, 9, 8, 8])}, r"'image' is \?x1x9x8x8, \?x1x8x8x8"),
        ({"retell": _retell(outputs_shape=[-1, 3])}, "'logits' is \\?x3"),
        ({"retell": _retell(inputs_datatype="INT8")}, "'image' is of type INT8, FP32 or FP16"),
        ({"retell": _retell(inputs_name="picture")}, "it has no 'image', there is 'picture'"),
        ({"hash": "ab" * 32}, "its configuration says sha256 abababababab…"),
    ],
)
def test_another_network_under_the_name_is_refused_before_the_first_study(
    models: ModelManifest, played: Played, wrong: dict[str, Any], words: str
) -> None:
    for name, value in wrong.items():
        setattr(played, name, value)
    with (
        serving(played) as port,
        pytest.raises(ServedOtherwise, match=f"127.0.0.1:{port} does not serve .*{words}"),
    ):
        opened(models, f"grpc://127.0.0.1:{port}")


@pytest.mark.parametrize("indexed", [True, False])
def test_another_version_is_named(tmp_path: Path, played: Played, indexed: bool) -> None:
    mine = load_model_set(write_set(tmp_path / "other", {"finder": tiny_segmenter(seed=99)}))
    played.indexed = indexed
    there = played.manifest.network("finder").sha256
    words = rf"it has {there[:12]}… in fp32" if indexed else "it has no such model"
    with (
        serving(played) as port,
        pytest.raises(ServedOtherwise, match=words) as caught,
    ):
        open_models(mine, BackendRequest.of(f"kserve=grpc://127.0.0.1:{port}"), roles=("finder",))
    assert mine.network("finder").sha256 in str(caught.value)
    assert caught.value.exit_code == 5


def _nan(answer: Any) -> None:
    numbers = np.frombuffer(answer.raw_output_contents[0], np.float32).copy()
    numbers[7] = np.nan
    answer.raw_output_contents[0] = numbers.tobytes()


def _cut(answer: Any) -> None:
    answer.raw_output_contents[0] = answer.raw_output_contents[0][:-4]


def _fewer(answer: Any) -> None:
    count = answer.outputs[0].shape[0]
    whole = np.frombuffer(answer.raw_output_contents[0], np.float32).reshape(count, -1)
    answer.outputs[0].shape[0] = count + 1
    answer.raw_output_contents[0] = np.concatenate([whole, whole[:1]]).tobytes()


def _other_version(answer: Any) -> None:
    answer.model_version = "7"


def _other_type(answer: Any) -> None:
    answer.outputs[0].datatype = "INT32"


def _words(answer: Any) -> None:
    answer.outputs[0].datatype = "BYTES"


def _half(answer: Any) -> None:
    numbers = np.frombuffer(answer.raw_output_contents[0], np.float32)
    answer.outputs[0].datatype = "FP16"
    answer.raw_output_contents[0] = numbers.astype(np.float16).tobytes()


def _other_model(answer: Any) -> None:
    answer.model_name = "else"


def _huge(answer: Any) -> None:
    answer.raw_output_contents[0] = bytes(MOST_TOLD + (1 << 20))


def _nothing(answer: Any) -> None:
    answer.outputs[0].name = "else"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_nan, "the answer holds infinities or NaN"),
        (_cut, "its answer is cut short or no tensor"),
        (_fewer, "it answers .* by the manifest .* is right"),
        (_other_version, "version 7 answers, and 1 was opened"),
        (_other_type, "its answer is of type INT32"),
        (_words, "its answer is of type BYTES"),
        (_half, "it answers in float16, and told of float32"),
        (_other_model, "'else' answers instead of 'tiny-finder"),
        (_huge, "a message is too large"),
        (_nothing, "its answer holds no 'logits'"),
    ],
)
def test_a_wrong_answer_is_no_answer(
    models: ModelManifest, played: Played, change: Callable[[Any], None], words: str
) -> None:
    """Also from a server that was right when the networks were opened."""
    with serving(played) as port, opened(models, f"grpc://127.0.0.1:{port}") as there:
        played.change = change
        with pytest.raises((RunFailed, ServerFailed), match=words) as caught:
            there.network("finder").run(BATCH)
    assert caught.value.exit_code == 5


def _probabilities(answer: Any) -> None:
    shape = answer.outputs[0].shape
    shares = np.random.default_rng(0).dirichlet(np.ones(shape[1]), np.prod(shape) // shape[1])
    numbers = np.moveaxis(shares.reshape(shape[0], *shape[2:], shape[1]), -1, 1)
    answer.raw_output_contents[0] = numbers.astype(np.float32).tobytes()


def _zeros(answer: Any) -> None:
    answer.raw_output_contents[0] = bytes(len(answer.raw_output_contents[0]))


@pytest.mark.parametrize(
    ("change", "words"),
    [(_zeros, "answers 0 everywhere"), (_probabilities, "it answers with probabilities")],
)
def test_what_a_server_answers_is_no_fault_of_the_file_here(
    models: ModelManifest, played: Played, change: Callable[[Any], None], words: str
) -> None:
    played.change = change
    with serving(played) as port, pytest.raises(RunFailed, match=words) as caught:
        opened(models, f"grpc://127.0.0.1:{port}")
    assert caught.value.exit_code == 5


def test_models_verify_finds_other_weights_under_the_right_name(
    models: ModelManifest, played: Played, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name is a word; answers are compared."""
    with serving(played) as port:
        named = f"grpc://127.0.0.1:{port}"
        verify(str(models.directory), server=named)
        assert capsys.readouterr().out.count("in fp32 on kserve") == len(models.networks)
        played.change = _backwards
        with pytest.raises(RunFailed, match=r"'kserve' failed .*answers otherwise than 'cpu'"):
            verify(str(models.directory), server=named)
    with pytest.raises(BackendError, match="can't be reached"):
        verify(str(models.directory), server=settings(models.directory, port))


def _backwards(answer: Any) -> None:
    numbers = np.frombuffer(answer.raw_output_contents[0], np.float32)
    answer.raw_output_contents[0] = (-3 * numbers).tobytes()


def test_without_the_package_one_sentence_says_what_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tritonclient.grpc", None)
    state = KServeBackend("grpc://127.0.0.1:1").availability()
    assert not state.available
    assert 'pip install "vfx-edge[kserve]"' in state.remedy
