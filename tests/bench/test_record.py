"""A benchmark kept in a file, compared with another, drawn."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.bench.records import INPUT, MACHINE, record, row
from vfx_edge.bench.command import drop_page_cache
from vfx_edge.bench.compare import Line, compare
from vfx_edge.bench.machine import OtherWork
from vfx_edge.bench.parity import Parity
from vfx_edge.bench.plot import draw, figure_of
from vfx_edge.bench.record import (
    NotABenchmark,
    Record,
    load_schema,
    read_record,
    write_record,
)
from vfx_edge.bench.samples import Samples

WRONG = Parity("DIFFERS", "L1 is not found")


def test_what_is_kept_can_be_read_again_and_fits_the_schema(tmp_path: Path) -> None:
    rows = (row(), row("cpu", "fp32", 0.2, parity=Parity("reference")), row("cuda", vram=2048.0))
    path = write_record(record(*rows), tmp_path / "a.json")
    value = json.loads(path.read_text("utf-8"))
    jsonschema.Draft202012Validator(load_schema()).validate(value)
    again = read_record(path)
    assert again.to_json_able() == value
    assert again.rows[0].name == "openvino bf16"
    assert again.default_row == again.rows[0]


def without(value: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: item for name, item in value.items() if name != key}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("bench/1", "bench/2", 1),
        lambda text: "[]",
        lambda text: "\x00",
        lambda text: json.dumps(without(json.loads(text), "rows")),
        lambda text: text.replace('"seconds": [', '"seconds": ["x", ', 1),
        lambda text: text.replace('"first_s": 2.5', '"first_s": "soon"', 1),
    ],
)
def test_another_file_is_refused_in_one_sentence(spoil: Any, tmp_path: Path) -> None:
    path = write_record(record(), tmp_path / "a.json")
    before = path.read_text("utf-8")
    path.write_text(spoil(before), "utf-8")
    assert path.read_text("utf-8") != before
    with pytest.raises(NotABenchmark, match=r"a\.json is no result of `vfx-edge bench` \(.+\): "):
        read_record(path)
    with pytest.raises(NotABenchmark):
        read_record(tmp_path)


def lines(a: Record, b: Record) -> dict[str, Line]:
    return {line.what: line for line in compare(a, b).lines}


def test_what_became_faster_is_said_of_b() -> None:
    found = lines(record(speed=1.0), record(speed=1.5, seed=7))
    for what in ("openvino bf16: warm study", "openvino bf16: segment", "whole command, cold"):
        assert found[what].verdict == "faster", what
        assert found[what].ratio == pytest.approx(1 / 1.5, rel=0.05)
    assert found["throughput"].ratio == pytest.approx(1.5)
    assert found["openvino bf16: first study"].verdict == ""  # once: nobody knows its noise
    assert "openvino bf16: classify" not in found  # did not run
    back = lines(record(speed=1.5, seed=7), record(speed=1.0))
    assert back["openvino bf16: warm study"].verdict == "slower"


def test_a_busy_or_restless_machine_gets_no_verdict() -> None:
    a, fast = record(), row(speed=2.0)
    busy = lines(a, record(replace(fast, busy=0.4)))["openvino bf16: warm study"]
    assert busy.verdict == "machine was busy"
    assert busy.ratio == pytest.approx(0.5, rel=0.05)
    restless = replace(fast, warm=Samples((0.9, 1.0, 0.8, 1.3, 0.6, 1.2)))
    assert lines(a, record(restless))["openvino bf16: warm study"].verdict == "too noisy"


def test_noise_and_nothing_in_common() -> None:
    noisy = [record(row(speed=s, noise=0.3, seed=i)) for i, s in enumerate((1.0, 1.1))]
    assert lines(*noisy)["openvino bf16: warm study"].verdict == "no difference seen"
    alone = replace(record(row("cpu", "fp32")), command=None, throughput=None)
    found = compare(record(), alone)
    assert found.lines == ()
    assert {"only in A: openvino bf16", "only in B: cpu fp32"} <= set(found.differences)


def test_all_that_was_not_the_same_is_told() -> None:
    a = record()
    assert compare(a, record(seed=3)).differences == ()
    cpu = {**MACHINE["cpu"], "name": "Another CPU", "usable_cores": 8}
    packages = {**MACHINE["packages"], "openvino": "2.0", "tensorrt": "10"}
    b = replace(
        a,
        machine={**MACHINE, "cpu": cpu, "gpu": "A GPU", "packages": packages},
        input={**INPUT, "shape_zyx": [100, 512, 512]},
        models={**a.models, "networks": {"segmenter": {"name": "seg", "sha256": "b" * 64}}},
        warnings=("the machine was busy",),
        rows=(row(parity=WRONG),),
    )
    found = compare(a, b)
    assert set(found.differences) == {
        "machine CPU: A CPU in A, Another CPU in B",
        "machine cores: 2 in A, 8 in B",
        "machine GPU: none in A, A GPU in B",
        "input size: 99 x 512 x 512 in A, 100 x 512 x 512 in B",
        "model segmenter: seg aaaaaaaa in A, seg bbbbbbbb in B",
        "version of openvino: 1.0 in A, 2.0 in B",
        "version of tensorrt: none in A, 10 in B",
    }
    assert found.notes == (
        "B: openvino bf16 DIFFERS: L1 is not found",
        "B: the machine was busy",
    )


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_the_picture_is_the_same_for_the_same_record(ending: str, tmp_path: Path) -> None:
    paths = [draw(record(), tmp_path / f"{name}.{ending}") for name in "ab"]
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert first.startswith(b"<?xml" if ending == "svg" else b"\x89PNG")
    assert not re.search(rb"<dc:date>|20\d\d-\d\d-\d\dT", first)
    assert first != draw(record(speed=2.0), paths[0]).read_bytes()
    assert sorted(tmp_path.iterdir()) == paths


def test_the_bars_are_the_medians_of_the_stages() -> None:
    rows = (row(), row("cpu", "fp32", 0.25, parity=WRONG))
    axes = figure_of(record(*rows)).axes[0]
    drawn = {
        (stage.get_label(), at): bar.get_width()
        for stage in axes.containers
        for at, bar in enumerate(stage)
    }
    for at, each in enumerate(rows):
        for stage in ("read", "locate", "segment", "other"):
            assert drawn[stage, at] == pytest.approx(each.stages[stage].median)
    assert "classify" not in {stage for stage, _ in drawn}
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["openvino bf16\nwithin tolerance", "cpu fp32\nDIFFERS"]


def test_own_work_is_not_that_of_others() -> None:
    """One process at work on one core, seen from inside and from outside."""
    spin = "import time; end = time.process_time() + {}\nwhile time.process_time() < end: pass"
    inside, outside = OtherWork(children=True), OtherWork()
    subprocess.run([sys.executable, "-c", spin.format(0.6)], check=True)
    with_child, without = inside.share(), outside.share()
    assert 0 <= with_child < without <= 1


def test_the_page_cache_is_dropped_or_said_not_to_be(tmp_path: Path) -> None:
    there = tmp_path / "a"
    there.write_bytes(b"1" * 5000)
    assert drop_page_cache([there]) == hasattr(os, "posix_fadvise")
    assert not drop_page_cache([there, tmp_path / "absent"])
    assert there.read_bytes() == b"1" * 5000
