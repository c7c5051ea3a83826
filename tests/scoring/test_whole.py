"""Tables of one run: all of them, or none."""

import threading
import time
from pathlib import Path

import pytest

from vfx_edge.errors import OutputError
from vfx_edge.files import write_text
from vfx_edge.scoring.whole import MARK, as_a_set


def test_a_disk_that_fills_up_leaves_no_tables_of_two_runs(tmp_path: Path) -> None:
    """Thresholds would be chosen for one model set on the answers of another."""
    for name in (MARK, "vertebrae.csv"):
        write_text(tmp_path / name, "former")
    (tmp_path / "studies").mkdir()
    with pytest.raises(OutputError), as_a_set(tmp_path):  # noqa: PT012
        write_text(tmp_path / "vertebrae.csv", "new")
        raise OSError("full")
    assert {path.name for path in tmp_path.iterdir()} == {"studies"}


def test_two_runs_write_one_after_the_other(tmp_path: Path) -> None:
    order: list[str] = []

    def other() -> None:
        with as_a_set(tmp_path):
            order.append("other")

    second = threading.Thread(target=other)
    with as_a_set(tmp_path):
        second.start()
        time.sleep(0.3)
        order.append("first")
    second.join()
    assert order == ["first", "other"]


def test_a_folder_in_the_place_of_a_table_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / MARK).mkdir()
    with pytest.raises(OutputError, match=f"{MARK} can't be written"), as_a_set(tmp_path):
        pass
