"""Results of another run in the output folder: gone before the new ones come, nothing else is."""

from pathlib import Path

from vfx_edge.outputs.former import remove_former

OURS = ("result.json", "report.html", "sr.dcm", "kos.dcm", "seg.dcm", "sc/01-overview.dcm")
OTHERS = ("notes.txt", "CT0001.dcm", "sc/mine.png")


def filled(folder: Path, marker: str) -> set[str]:
    (folder / "sc").mkdir()
    for name in (*OURS, *OTHERS):
        (folder / name).write_text("x")
    (folder / "result.json").write_text(marker)
    return {*OURS, *OTHERS}


def left(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_an_earlier_runs_results_are_removed_and_nothing_else(tmp_path: Path) -> None:
    filled(tmp_path, '{"schema": "vfx-edge/result/1"}')
    remove_former(tmp_path)
    assert left(tmp_path) == {*OTHERS}


def test_without_a_result_of_ours_the_folder_is_somebody_elses(tmp_path: Path) -> None:
    there = filled(tmp_path, '{"schema": "other"}')
    remove_former(tmp_path)
    assert left(tmp_path) == there
    (tmp_path / "result.json").write_text("{")
    remove_former(tmp_path)
    assert left(tmp_path) == there
