"""`vfx-edge batch` from outside, with the shipped networks: shards, two studies in one folder."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from tests.contract.conftest import call

PHANTOM = ("--levels", "T12-L2", "--fracture", "L1:wedge:0.35")


@pytest.mark.thorough
def test_shards_are_summed_up_and_results_are_those_of_run(tmp_path: Path) -> None:
    for seed in ("1", "2", "3"):
        call("phantom", f"data/{seed}", *PHANTOM, "--seed", seed, cwd=tmp_path)
    mixed = tmp_path / "data" / "mixed"
    mixed.mkdir()
    for seed in ("1", "2"):
        for file in (tmp_path / "data" / seed).glob("*.dcm"):
            shutil.move(file, mixed / f"{seed}-{file.name}")
    for shard in ("1/2", "2/2"):
        call("batch", "data", "-o", "out", "--shard", shard, "--workers", "1", cwd=tmp_path)
    told = call("batch", "-o", "out", "--summarise", cwd=tmp_path)
    assert told.code == 0
    assert "3 of 3 studies done" in told.stdout
    with (tmp_path / "out" / "summary.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["state"] for row in rows] == ["done"] * 3
    assert len({row["study"] for row in rows}) == 3
    call("run", "data/3", "-o", "alone", cwd=tmp_path)
    alone = json.loads((tmp_path / "alone" / "result.json").read_text("utf-8"))
    place = tmp_path / "out" / "studies" / alone["series"]["study_uid"] / "result.json"
    assert json.loads(place.read_text("utf-8"))["findings"] == alone["findings"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("batch", "gone", "-o", "out"), 3),
        (("batch", "-o", "out"), 2),
        (("batch", "", "-o", "out"), 2),
        (("batch", ".", "-o", "out", "--engine", "ray", "--ray-address", "local"), 2),
        (("batch", "-o", "out", "--summarise"), 3),
        (("batch", ".", "-o", "out", "--shard", "5/4"), 2),
    ],
)
def test_what_cant_be_done_is_refused(tmp_path: Path, words: tuple[str, ...], code: int) -> None:
    call(*words, cwd=tmp_path).assert_refused(code)
