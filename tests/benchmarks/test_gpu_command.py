"""`python -m benchmarks gpu`: what it would do, and what a run leaves that goes wrong."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu, gpu_tables, results
from benchmarks.gpu_parts import BUDGETS_GIB, ENGINES_S, EVERY, OTHER_PRECISIONS, Part, parts
from tests.bench.records import MACHINE
from vfx_edge.backends.needs import NEEDS
from vfx_edge.backends.nvidia import NoGpu
from vfx_edge.manifest import load_model_set
from vfx_edge.vocabulary import PRECISIONS

HOUR_S = 3600.0


def test_without_a_gpu_each_part_is_described_and_nothing_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "find_gpu", lambda: NoGpu("no NVIDIA driver", ""))
    gpu.command(minutes=8, out=tmp_path)
    printed = capsys.readouterr().out
    assert "no NVIDIA driver" in printed
    for part in parts(Path("ct"), Path()):
        assert f"{part.name}: {part.what}" in printed
    for need in NEEDS.values():
        assert f'pip install "vfx-edge[{need.extra}]"' in printed
    assert list(tmp_path.iterdir()) == []


def test_every_backend_is_tested_timed_compared_and_given_both_budgets() -> None:
    names = {part.name for part in parts(Path("ct"), Path())}
    assert set(ENGINES_S) == set(NEEDS)
    for backend in ENGINES_S:
        kinds = ("engines", "study", "commands", "tests")
        assert {f"{kind} {backend}" for kind in kinds} <= names
        assert {f"memory {backend} {gib:g} GiB" for gib in BUDGETS_GIB} <= names
        assert {f"study {backend} {p}" for p in OTHER_PRECISIONS.get(backend, ())} <= names


def test_what_is_worth_most_is_done_first() -> None:
    """Each backend's parity and times before anything else of any."""
    kinds = [part.kind for part in parts(Path("ct"), Path())]
    first = ["doctor", "reference", *(["engines", "study"] * len(ENGINES_S))]
    assert kinds[: len(first) + 1] == [*first, "tests"]


def test_other_precisions_are_measured_whether_the_shipped_set_allows_them_or_not(
    tmp_path: Path,
) -> None:
    gpu.allow_every(tmp_path / EVERY)
    every, shipped = load_model_set(tmp_path / EVERY), load_model_set()
    for spec in every.networks:
        assert set(spec.precision.allowed) == set(PRECISIONS) - {"int8"}  # a file of its own
        assert spec.sha256 in {one.sha256 for one in shipped.networks}
    for part in parts(Path("ct"), tmp_path):
        if part.precision != "auto" and part.kind == "study":
            assert part.order["model"] == str(tmp_path / EVERY)


def played(do: str, limit_s: float = HOUR_S, backend: str = "cuda") -> Part:
    return Part("engines", backend, do, "tests.bench.played_worker", {"do": do}, limit_s)


def ended(wanted: list[Part], folder: Path, left_s: float = HOUR_S) -> list[dict[str, Any]]:
    """What came of the parts; gpu.json was whole after each of them."""
    about = results.about("gpu", {"minutes": 8}, MACHINE)

    def save(done: list[dict[str, Any]]) -> None:
        gpu.save(about, done, folder)
        kept = json.loads((folder / "gpu.json").read_text("utf-8"))
        assert [one["name"] for one in kept["figures"]["parts"]] == [one["name"] for one in done]
        assert "engines cuda" in (folder / "gpu.md").read_text("utf-8")

    return gpu.run(wanted, folder, time.monotonic() + left_s, save)


def test_a_part_that_crashes_or_hangs_costs_that_part_alone(tmp_path: Path) -> None:
    wanted = [played("crash"), played("hang", 1, backend="tensorrt"), played("break")]
    crashed, hung, broken = ended(wanted, tmp_path)
    assert crashed["state"] == hung["state"] == broken["state"] == "crashed"
    assert crashed["events"][0] == {"event": "engine", "role": "locator", "seconds": 1.5,
                                    "precision": "fp16"}  # fmt: skip
    assert hung["reason"] == "stopped after 1 s"
    assert "RuntimeError: no such thing" in broken["reason"]
    assert "| cuda | 1.5 (fp16) |" in (tmp_path / "gpu.md").read_text("utf-8")


def test_a_backend_that_is_missing_is_asked_once_and_time_ends_it_all(tmp_path: Path) -> None:
    missing, again = ended([played("refuse"), played("hang")], tmp_path)
    assert missing["state"] == "failed"
    assert again["state"] == "not done"
    assert again["reason"] == missing["reason"]
    (late,) = ended([played("hang")], tmp_path, left_s=0)
    assert (late["state"], late["reason"]) == ("not done", "no time was left")


def test_a_page_is_made_of_nothing_at_all() -> None:
    record = {**results.about("gpu", {"minutes": 8}, MACHINE), "figures": {"parts": []}}
    assert "0 of 0 parts were done" in gpu_tables.page(results.flat(record))
