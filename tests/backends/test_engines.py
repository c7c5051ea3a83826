"""Which engine may be used, and where it comes from: TensorRT-RTX itself is played by a stub."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

import vfx_edge
from tests.tiny_models import tiny_segmenter, write_set
from vfx_edge.backends import tensorrt_rtx_runtime as runtime
from vfx_edge.backends.errors import EngineRefused
from vfx_edge.backends.tensorrt_rtx_engine import (
    EngineStale,
    EngineState,
    beside_set,
    build_engine,
    engine_states,
    in_cache,
    may_lie_in,
    read_engine,
    wanted_key,
)
from vfx_edge.doctor import inspect_set
from vfx_edge.manifest import NetworkSpec, PrecisionSpec, load_model_set


@pytest.fixture(autouse=True)
def stub(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Builds recorded by architecture; the engine is some bytes."""
    built: list[int] = []

    def build(onnx: bytes, sm: int, names: object, shapes: object) -> bytes:
        built.append(sm)
        return b"engine" + onnx[:100]

    monkeypatch.setattr(runtime, "build", build)
    monkeypatch.setattr(runtime, "version", lambda: "1.7.1")
    monkeypatch.setenv("VFX_EDGE_CACHE", "/nowhere")
    return built


@pytest.fixture
def spec(tmp_path: Path) -> NetworkSpec:
    folder = write_set(tmp_path / "set", {"finder": tiny_segmenter()}, precisions=("fp16",))
    return load_model_set(folder).network("finder")


def built(spec: NetworkSpec, sm: int = 75) -> Path:
    path = beside_set(spec, sm)
    build_engine(spec, spec.read(), wanted_key(spec, sm), path)
    return path


def test_a_fresh_engine_is_read_and_lies_beside_its_model(spec: NetworkSpec) -> None:
    path = built(spec)
    assert path == spec.path.parent / "engines" / "finder.sm75.engine"
    assert read_engine(path, wanted_key(spec, 75)).startswith(b"engine")
    assert not list(path.parent.glob(".*")), "nothing half-written is left"


def test_engines_of_borrowed_networks_lie_with_the_set_that_borrows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Apart from its own of the same file name; where it is borrowed from nothing appears."""
    monkeypatch.setenv("VFX_EDGE_MODELS", str(tmp_path))
    lent = write_set(tmp_path / "lent", {"locator": tiny_segmenter(), "finder": tiny_segmenter()})
    own = write_set(tmp_path / "own", {"finder": tiny_segmenter(seed=3)}, base="lent")
    (own / "finder.onnx").rename(own / "locator.onnx")
    manifest = own / "manifest.toml"
    manifest.write_text(manifest.read_text("utf-8").replace('"finder.onnx"', '"locator.onnx"'))
    paths = [built(spec) for spec in load_model_set(own).networks]
    assert paths == [
        own / "engines" / f"{name}.sm75.engine" for name in ("locator", "lent/locator")
    ]
    assert not (lent / "engines").exists()
    found = {e.path: e.problem for n in inspect_set(own).networks for e in n.engines}
    assert found == dict.fromkeys(paths, "")


def test_the_programs_own_folder_is_left_alone(tmp_path: Path) -> None:
    assert may_lie_in(tmp_path)
    assert not may_lie_in(Path(vfx_edge.__file__).parent / "_models" / "default")
    assert not may_lie_in(tmp_path / "none")


def test_engines_in_the_cache_are_told_of_by_their_network(
    spec: NetworkSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VFX_EDGE_CACHE", str(tmp_path / "cache"))
    path = in_cache(wanted_key(spec, 89))
    build_engine(spec, spec.read(), wanted_key(spec, 89), path)
    assert engine_states(spec) == (EngineState(path, 89, ""),)
    assert engine_states(replace(spec, sha256="0" * 64)) == ()


def test_the_key_stands_beside_the_engine(spec: NetworkSpec) -> None:
    record = json.loads(built(spec).with_name("finder.sm75.engine.json").read_text("utf-8"))
    key = record["key"]
    assert key["onnx_sha256"] == spec.sha256
    assert (key["tensorrt_rtx"], key["sm"], key["precision"]) == ("1.7.1", 75, "fp16")
    assert key["shapes"] == [[n, 1, 8, 8, 8] for n in (1, 2, 4)]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def changed(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def without_key(path: Path) -> None:
    path.with_name(f"{path.name}.json").unlink()


def broken_key(path: Path) -> None:
    path.with_name(f"{path.name}.json").write_text('{"schema": 1, "key": []}')


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut, "changed or cut short"),
        (changed, "changed or cut short"),
        (without_key, r"\.json file is missing"),
        (broken_key, r"\.json file is missing or can't be read"),
    ],
)
def test_a_damaged_engine_is_stale(
    spec: NetworkSpec, damage: Callable[[Path], None], words: str
) -> None:
    path = built(spec)
    damage(path)
    with pytest.raises(EngineStale, match=rf"finder\.sm75\.engine is not used: .*{words}"):
        read_engine(path, wanted_key(spec, 75))


def test_whatever_differs_from_the_key_is_named(
    spec: NetworkSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = built(spec)
    batch = replace(spec.batch, max=8)
    for other, words in (
        (replace(spec, sha256="0" * 64), "another network"),
        (replace(spec, file_fp16="half.onnx", sha256_fp16="0" * 64), "another FP16 form"),
        (replace(spec, batch=batch), r"batches of 1/2/4, which are not the manifest's"),
    ):
        with pytest.raises(EngineStale, match=words):
            read_engine(path, wanted_key(other, 75))
    with pytest.raises(EngineStale, match=r"for compute capability 7\.5, not 8\.6"):
        read_engine(path, wanted_key(spec, 86))
    monkeypatch.setattr(runtime, "version", lambda: "1.8.0")
    with pytest.raises(EngineStale, match=r"TensorRT-RTX 1\.7\.1 built it, 1\.8\.0 is installed"):
        read_engine(path, wanted_key(spec, 75))


def test_doctor_tells_fresh_from_stale(spec: NetworkSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    built(spec)
    changed(built(spec, 86))
    (network,) = inspect_set(spec.path.parent).networks
    problems = {engine.sm: engine.problem for engine in network.engines}
    assert problems == {75: "", 86: "it was changed or cut short after it was built"}

    def absent() -> str:
        raise ImportError

    monkeypatch.setattr(runtime, "version", absent)
    assert "not installed" in engine_states(spec)[0].problem


def test_a_refusal_carries_the_reason(spec: NetworkSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bytes:
        raise runtime.Refused("FP32 3D convolution\nis not supported")

    monkeypatch.setattr(runtime, "build", refuse)
    with pytest.raises(EngineRefused, match=r"'tiny finder' .* 7\.5 \(FP32 3D convolution is"):
        built(spec)
    with pytest.raises(EngineRefused, match="quantised to INT8"):
        built(replace(spec, precision=PrecisionSpec(stored="int8")))
    assert not beside_set(spec, 75).exists()
