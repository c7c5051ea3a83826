"""`python -m export engine`: the shipped networks' engines, built where there is no GPU."""

import shutil
from importlib import metadata
from pathlib import Path

import pytest
import typer

from export import engine
from tests.tiny_models import tiny_segmenter, write_set
from vfx_edge.backends import tensorrt_rtx_runtime as runtime
from vfx_edge.backends.tensorrt_rtx_engine import engine_states
from vfx_edge.manifest import find_model_set, load_model_set

ARCHITECTURES = (75, 86, 89)


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VFX_EDGE_CACHE", str(tmp_path / "no cache"))
    try:
        metadata.version("tensorrt-rtx")
    except metadata.PackageNotFoundError:
        pytest.skip("the package tensorrt-rtx is not installed")


def states(folder: Path) -> dict[str, str]:
    networks = load_model_set(folder).networks
    return {s.path.name: s.problem for spec in networks for s in engine_states(spec)}


def test_every_shipped_network_has_engines_for_every_card(tmp_path: Path) -> None:
    folder = tmp_path / "default"
    shutil.copytree(find_model_set("default"), folder, ignore=shutil.ignore_patterns("engines"))
    names = [spec.path.stem for spec in load_model_set(folder).networks]
    assert len(names) == 5
    for name in names:
        only = one_network(folder, name)
        engine.command(str(only), [*ARCHITECTURES])
        assert states(only) == {f"{name}.sm{sm}.engine": "" for sm in ARCHITECTURES}
        sizes = [path.stat().st_size for path in (only / "engines").glob("*.engine")]
        assert all(1e6 < size < 40e6 for size in sizes)


def one_network(folder: Path, stem: str) -> Path:
    """A set of its own for one network of a set."""
    alone = folder.parent / stem
    alone.mkdir()
    head, *blocks = (folder / "manifest.toml").read_text("utf-8").split("[[network]]")
    (block,) = (b for b in blocks if f'file = "{stem}.onnx"' in b)
    (alone / "manifest.toml").write_text(f"{head}[[network]]{block}", "utf-8")
    for file in folder.glob(f"{stem}*.onnx"):  # in INT8, too, where there is one
        shutil.copy(file, alone)
    return alone


def test_what_is_fresh_is_kept_and_what_is_stale_is_named_and_built_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_set(tmp_path / "set", {"finder": tiny_segmenter()}, precisions=("fp16",))
    engine.command(str(folder), [75])
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Building the TensorRT-RTX engine of 'tiny finder' for compute")
    assert lines[1].startswith("Built the engine")
    path = folder / "engines" / "finder.sm75.engine"
    before = path.stat().st_mtime_ns
    engine.command(str(folder), [75])
    assert capsys.readouterr().err == "finder.sm75.engine is fresh\n"
    assert path.stat().st_mtime_ns == before
    path.write_bytes(path.read_bytes()[:-1])
    engine.command(str(folder), [75])
    assert "is not used: it was changed or cut short" in capsys.readouterr().err
    assert states(folder) == {path.name: ""}


def test_an_unknown_architecture_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", {"finder": tiny_segmenter()})
    with pytest.raises(engine.ArchitectureUnknown, match=r"--sm 90: choose from 75, ") as caught:
        engine.command(str(folder), [75, 90])
    assert caught.value.exit_code == 5
    assert not (folder / "engines").exists()


def test_a_refused_network_is_named_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In FP32 Turing gets no 3-D convolution: the very reason for the FP16 form."""
    real = runtime.build
    data = tiny_segmenter()
    monkeypatch.setattr(runtime, "build", lambda _, *rest: real(data, *rest))
    folder = write_set(tmp_path / "set", {"finder": data})
    with pytest.raises(engine.EnginesIncomplete, match=r"finder\.onnx for --sm 75") as caught:
        engine.command(str(folder), [75, 86])
    assert caught.value.exit_code == 6
    assert "FP32 3D convolution is not supported" in capsys.readouterr().err
    assert states(folder) == {"finder.sm86.engine": ""}


def test_a_folder_that_can_not_be_written_leaves_them_to_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VFX_EDGE_CACHE", str(tmp_path / "cache"))
    folder = write_set(tmp_path / "set", {"finder": tiny_segmenter()}, precisions=("fp16",))
    (folder / "engines").write_text("a file is in the way")
    engine.command(str(folder), [75])
    first, *_ = capsys.readouterr().err.splitlines()
    assert first == f"Engines go into the cache folder, {tmp_path / 'cache' / 'tensorrt-rtx'}"
    ((name, problem),) = states(folder).items()
    assert (tmp_path / "cache" / "tensorrt-rtx" / name).is_file()
    assert problem == ""
    engine.command(str(folder), [75])
    assert capsys.readouterr().err.endswith(f"{name} is fresh\n")


def test_the_command_line_takes_several_architectures(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(engine.command)
    folder = write_set(tmp_path / "set", {"finder": tiny_segmenter()}, precisions=("fp16",))
    app([str(folder), "--sm", "75", "--sm", "120"], standalone_mode=False)
    assert set(states(folder)) == {"finder.sm75.engine", "finder.sm120.engine"}
