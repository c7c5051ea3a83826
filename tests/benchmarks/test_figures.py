"""What the benchmark scripts count, fit, keep and write."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks import goals, growth, isa, nnunet_peer, render, results
from benchmarks.floor import floor_s
from benchmarks.operations import counted, taps
from benchmarks.peaks import CONVS, DEPTH
from benchmarks.processes import answer_of, worker
from benchmarks.worker import Order
from models.recipes.scorecard.goals import MET, MISSED, UNKNOWN
from vfx_edge.backends.machine import cpu_flags
from vfx_edge.outputs.dicom.ct_series import write_ct_series
from vfx_edge.phantom import PhantomSpec, make_phantom


@pytest.mark.parametrize(("kernel", "stride", "pad"), [(3, 1, 1), (3, 2, 1), (2, 2, 0), (5, 1, 2)])
def test_taps_are_those_that_meet_a_voxel(kernel: int, stride: int, pad: int) -> None:
    inside = np.convolve(np.pad(np.ones(12), pad), np.ones(kernel), "valid")[::stride]
    assert taps(12, len(inside), kernel, stride, pad) == inside.sum()


def test_a_networks_operations_and_bytes_are_those_of_its_layers() -> None:
    """Down from 8³ to 4³ and up again, weights partly in half precision, then something light."""
    nodes = [
        helper.make_node("Cast", ["half"], ["down"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["x", "down"], ["c"], kernel_shape=[3] * 3, strides=[2] * 3,
                         pads=[1] * 6),
        helper.make_node("ConvTranspose", ["c", "up"], ["t"], kernel_shape=[2] * 3,
                         strides=[2] * 3),
        helper.make_node("Relu", ["t"], ["y"]),
    ]  # fmt: skip
    weights = {"half": np.ones((3, 2, 3, 3, 3), np.float16), "up": np.ones((3, 5, 2, 2, 2), "f4")}
    graph = helper.make_graph(
        nodes,
        "tried",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2, 8, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 5, 8, 8, 8])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    work = counted(helper.make_model(graph).SerializeToString())
    down = 3 * 2 * (4 * 3 - 1) ** 3  # of 4 x 3 places along an axis one lies in the padding
    up = 3 * 5 * 8**3
    assert work.gflop == pytest.approx(2 * (down + up) / 1e9)
    assert work.numbers == 2 * 8**3 + 2 * 3 * 4**3 + 5 * 8**3
    assert work.weights == 3 * 2 * 27 + 3 * 5 * 8
    assert work.mib(2, 4) == pytest.approx((2 * work.numbers + work.weights) * 4 / 2**20)


def test_the_peaks_convolutions_are_counted_as_the_networks_are() -> None:
    conv = CONVS[0]
    dense = 2 * 27 * conv.channels**2 * conv.edge**3 * conv.batch * DEPTH / 1e9
    assert conv.gflop == pytest.approx(dense * (1 - 2 / (3 * conv.edge)) ** 3)


def rows_of(wall: Any, memory: Any = lambda n: 100.0) -> list[dict[str, Any]]:
    return [
        {"x": n, "wall_s": [wall(n)], "stages_s": {"read": [n / 100]}, "peak_rss_mib": [memory(n)],
         "input": {"int16_mib": n / 2}}
        for n in (100, 200, 400)
    ]  # fmt: skip


def test_fits_find_what_is_there() -> None:
    found = growth.time_exponents(rows_of(lambda n: n**1.5))
    assert found == {"whole command": pytest.approx(1.5)}  # reading is too little to be told
    slope, offset = growth.memory_line(rows_of(lambda n: 1.0, lambda n: 300 + 2.2 * n / 2))
    assert [slope, offset] == pytest.approx([2.2, 300])


def test_what_further_slices_cost_beyond_reading_is_judged() -> None:
    for extra, state in ((0.0, MET), (0.01, MISSED)):
        rows = rows_of(lambda n, extra=extra: 3 + n / 100 + extra * n)
        rows = [{**row, "series": "finer"} for row in rows]
        judged = goals.goals({"growth": {"rows": rows}})
        (line,) = [goal for goal in judged if "slices" in goal.figure and "step" in goal.reached]
        assert line.state == state


def test_what_a_stopped_run_has_measured_is_kept_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "UNFINISHED", tmp_path)
    monkeypatch.setattr(results, "machine", lambda: {"busy": 0.0})
    monkeypatch.setattr(isa, "cpu_class", lambda: "avx2")
    results.Kept("tried", {"repeat": 2}).point("one", lambda: 1)
    again = results.Kept("tried", {"repeat": 2})
    assert again.point("one", lambda: pytest.fail("measured again")) == 1
    assert again.missing("two")
    assert results.Kept("tried", {"repeat": 3}).missing("one")
    monkeypatch.setattr(results, "fingerprint", lambda: "other code")
    assert results.Kept("tried", {"repeat": 2}).missing("one")


def test_a_class_measured_anew_leaves_the_others_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RESULTS", "UNFINISHED", "ROOT"):
        monkeypatch.setattr(results, name, tmp_path)
    monkeypatch.setattr(results, "machine", lambda: {"busy": 0.0, "packages": {}})
    for cpu, figure in (("avx2", 1), ("avx512-bf16", 2), ("avx2", 3)):
        monkeypatch.setattr(isa, "cpu_class", lambda cpu=cpu: cpu)
        results.Kept("speed", {}).finish({"figure": figure})
    kept = {cpu: results.read("speed", cpu) for cpu in ("avx2", "avx512-bf16")}
    assert {cpu: found and found["figures"]["figure"] for cpu, found in kept.items()} == {
        "avx2": 3,
        "avx512-bf16": 2,
    }


def test_held_to_avx2_nothing_computes_in_bf16_and_the_figures_say_so() -> None:
    code = "from benchmarks import isa; isa.hold('avx2'); print(isa.cpu_class(), isa.held())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=results.ROOT, capture_output=True, text=True, check=True
    )
    wide = "avx512f" in cpu_flags()
    held = "AVX-512 forbidden by ONEDNN_MAX_CPU_ISA; the same processor"
    assert done.stdout.strip() == f"avx2 {held if wide else ''}".strip()


def test_against_a_runtime_that_cannot_be_held_back_nothing_is_missed() -> None:
    chains = {name: {"networks_s": [s] * 4, "wall_s": [s] * 4}
              for name, s in (("openvino", 1.0), ("torch", 5.0), ("onnxruntime", 2.0))}  # fmt: skip
    for held, state in (("", MISSED), ("AVX-512 forbidden", UNKNOWN)):
        found = {"chains": chains, "nnunets": {}, "held": held}
        judged = goals.goals({"peers": found})
        assert [g.state for g in judged if "ONNX" in g.figure] == [state]
    chains["onnxruntime"]["networks_s"] = [4.0] * 4
    judged = goals.goals({"peers": {"chains": chains, "nnunets": {}, "held": "AVX-512 forbidden"}})
    assert [g.state for g in judged if "ONNX" in g.figure] == [MET]


def test_the_least_that_a_command_takes_is_operations_at_their_peaks_and_reading() -> None:
    row = {"gflop": {"bf16": 100.0, "fp32": 10.0}, "read_s": [0.1, 0.2],
           "peak_gflops": {"bf16": [100.0, 50.0], "fp32": [10.0, 20.0]}}  # fmt: skip
    assert floor_s(row) == pytest.approx([2.1, 2.7])


@pytest.fixture(scope="module")
def small_ct(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_phantom(PhantomSpec(levels=("L1", "L3"), spacing_mm=4.0, pixel_mm=3.0,
                                    matrix=(96, 96)))  # fmt: skip
    folder = tmp_path_factory.mktemp("ct")
    return write_ct_series(made.hu, made.affine_zyx_to_lps, folder / "ct")


def test_a_worker_tells_each_study_by_itself(small_ct: Path) -> None:
    with worker(Order(str(small_ct), "openvino", "fp32")) as running:
        first, second = running.ask(), running.ask()
    asked = [{role: n["patches"] for role, n in s["networks"].items()} for s in (first, second)]
    assert asked[0] == asked[1]
    assert asked[0]["segmenter"] >= 3
    for study in (first, second):
        assert 0 < sum(n["seconds"] for n in study["networks"].values()) < study["wall"]
    assert first["facts"] == second["facts"]


def test_nnunets_own_predictor_takes_the_plan(small_ct: Path) -> None:
    pytest.importorskip("nnunetv2", reason="nnU-Net is installed by `make peers`")
    order = nnunet_peer.Order(str(small_ct), 6.0, patch=32, channels=(2, 4, 4), most_patches=2)
    found = answer_of("benchmarks.nnunet_peer", vars(order))
    grid = [round(edge * mm / 6) for edge, mm in zip(*_size(small_ct), strict=True)]
    assert found["grid_zyx"] == grid
    # half overlapping: an edge of 32 takes one patch, each further 16 one more
    assert found["patches"] == np.prod([1 + -(-max(edge - 32, 0) // 16) for edge in grid])
    assert found["computed"] == 2 < found["patches"]
    assert sum(found["stages"].values()) == pytest.approx(found["wall"], rel=0.01)


def _size(path: Path) -> tuple[list[int], list[float]]:
    from benchmarks import inputs

    facts = inputs.facts(path)
    return facts["shape_zyx"], facts["spacing_zyx_mm"]


def test_the_page_is_what_its_figures_make_of_it() -> None:
    """After a change of tables or figures: python -m benchmarks render."""
    text = render.PAGE.read_text("utf-8")
    assert render.page(text, render.measured()) == text


def test_pictures_are_the_same_each_time(tmp_path: Path) -> None:
    from benchmarks.pictures import draw

    figures = render.measured()
    for name, cpu in render.drawn(figures):
        found = figures[name][cpu]
        for path in (tmp_path / "a.svg", tmp_path / "b.svg"):
            draw(name, found, path)
        assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
        assert render.picture(name, cpu).is_file()
        assert str(tmp_path) not in (tmp_path / "a.svg").read_text("utf-8")


def test_no_figure_on_the_page_is_written_by_hand() -> None:
    text = render.PAGE.read_text("utf-8")
    by_hand = re.sub(r"<!-- (\w+):begin -->.*?<!-- \1:end -->", "", text, flags=re.DOTALL)
    found = re.findall(
        r"\d[\d.,]* ?(?:s|ms|seconds|minutes|[GM]iB|GFLOP\S*|GB/s|%|times)\b", by_hand
    )
    assert not found


def test_scripts_are_listed_without_their_heavy_libraries() -> None:
    code = "import benchmarks.__main__, sys; print({'torch', 'nnunetv2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=results.ROOT, capture_output=True)
    assert done.stdout.strip() == b"set()", done.stderr
