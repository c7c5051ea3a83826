"""One table of output kinds: what the command offers, what is written, removed and sent."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.fake_backend import no_networks
from tests.outputs.fakes import example
from vfx_edge.cli import main
from vfx_edge.files import write_text
from vfx_edge.job import Job, run_job
from vfx_edge.outputs import kinds
from vfx_edge.outputs.kinds import (
    KINDS,
    ExtraMissing,
    OutputKind,
    Request,
    UnknownKind,
    remove_former,
)

OURS = {"result.json", "report.html", "sr.dcm", "kos.dcm", "seg.dcm", "sc/01-overview.dcm"}
OTHERS = {"notes.txt", "CT0001.dcm", "sc/mine.png", "sc/mine.dcm", "sub_ct.nii.gz"}


def write_toy(request: Request) -> list[Path]:
    """The levels that were found, one a line. result.json is not there yet."""
    assert not (request.folder / "result.json").exists()
    levels = [finding.vertebra.level for finding in request.analysis.result.findings]
    return [write_text(request.folder / "toy.txt", "\n".join(levels))]


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new kind: one file with a function, one row."""
    module = ModuleType("toy_output")
    module.write = write_toy  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "toy_output", module)
    row = OutputKind("toy", "the levels as text", ("toy.txt",), "toy_output:write")
    monkeypatch.setitem(KINDS, "toy", row)


@pytest.fixture
def chain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read and no network runs."""

    for place, stand_in in {
        "inputs.load_scan": lambda *_, **__: example().scan,
        "manifest.load_model_set": lambda name, demand: name,
        "backends.open_models": lambda *_, **__: no_networks(),
        "fracture_task.roles": lambda *_: (),
        "spine.chain.analyze": lambda *_: example(),
    }.items():
        monkeypatch.setattr(f"vfx_edge.{place}", stand_in)


@pytest.mark.usefixtures("chain", "toy")
def test_a_new_kind_is_one_file_and_one_row(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command = ["vfx-edge", "run", "in", "-o", str(tmp_path / "out"), "--outputs", "json,toy"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert present(tmp_path / "out") == {"result.json", "toy.txt"}
    assert (tmp_path / "out" / "toy.txt").read_text().startswith("T6\nT7\n")
    # an earlier run's files are removed before new ones are written
    run_job(Job(tmp_path, tmp_path / "out", kinds=("html",)), no_networks())
    assert present(tmp_path / "out") == {"result.json", "report.html"}


def test_an_unknown_kind_is_refused_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = "use any of json, html, sr, seg, sc, nifti"
    job = Job(tmp_path / "absent", kinds=("json", "toy"))
    with pytest.raises(UnknownKind, match=f"'toy' is nothing this version writes: {known}"):
        run_job(job, models=None)  # type: ignore[arg-type]
    monkeypatch.setattr(sys, "argv", ["vfx-edge", "run", "absent", "--outputs", "json,toy"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    shown = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert known in shown


def test_what_a_kind_needs_is_checked_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(kinds, "find_spec", lambda _: None)
    with pytest.raises(ExtraMissing, match=r"seg needs highdicom.*'vfx-edge\[service\]'"):
        run_job(Job(tmp_path / "absent", kinds=("seg",)), models=None)  # type: ignore[arg-type]


def test_every_writer_can_be_loaded_and_the_order_is_lasting() -> None:
    pytest.importorskip("highdicom", reason="needs the extra service")
    from pkgutil import resolve_name

    assert all(callable(resolve_name(kind.writer)) for kind in KINDS.values())
    assert all(kind.name == name for name, kind in KINDS.items())
    assert kinds.chosen(["seg", "html"]) == ("json", "html", "seg")
    assert kinds.defaults() == ("json", "html")
    assert kinds.dicom_kinds() == ("sr", "seg", "sc")


def test_a_file_is_traced_to_its_kind() -> None:
    names = {"kos.dcm": "sr", "sr.dcm": "sr", "sc": "sc", "seg.dcm": "seg", "odd.dcm": "odd"}
    assert {name: kinds.kind_of(Path("out", name)) for name in names} == names


def test_the_documents_show_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "dicom.md").read_text("utf-8")
    for kind in KINDS.values():
        assert f"| `{kind.name}` | {kind.what} |" in page


def filled(folder: Path, marker: str) -> None:
    (folder / "sc").mkdir()
    for name in (*OURS, *OTHERS):
        (folder / name).write_text("x")
    (folder / "result.json").write_text(marker)


def present(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_an_earlier_runs_results_are_removed_and_nothing_else(tmp_path: Path) -> None:
    filled(tmp_path, '{"schema": "vfx-edge/result/1"}')
    assert present(tmp_path) == OURS | OTHERS
    remove_former(tmp_path)
    assert present(tmp_path) == OTHERS


@pytest.mark.parametrize("marker", ['{"schema": "other"}', "{"])
def test_without_a_result_of_ours_the_folder_is_left_as_it_is(tmp_path: Path, marker: str) -> None:
    filled(tmp_path, marker)
    remove_former(tmp_path)
    assert present(tmp_path) == OURS | OTHERS
