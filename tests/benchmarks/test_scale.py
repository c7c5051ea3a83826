"""Many studies on paper: the arithmetic, and that the page is as it says."""

import pytest

from benchmarks import scale
from models.recipes.scorecard.render import replaced

SMALL = scale.Study(core_s=7.2, worker_gib=1.0, scan_gib=0.25)


def test_the_page_is_what_the_command_writes() -> None:
    """After a change of figures: python -m benchmarks scale."""
    text = scale.PAGE.read_text("utf-8")
    assert replaced(text, scale.SECTION, scale.paper(scale.Node())) == text


@pytest.mark.parametrize(("memory", "workers"), [(128.0, 8), (12.0, 4), (4.0, 1)])
def test_memory_or_cores_decide_how_many_workers_a_node_has(memory: float, workers: int) -> None:
    assert scale.workers(SMALL, scale.Node(cores=16, memory_gib=memory)) == workers


def test_a_plan_names_the_slower_of_cores_and_archive() -> None:
    node = scale.Node(cores=16, storage_gib_s=0.5)
    one = scale.plan(10_000, 10, SMALL, node)
    assert one.core_hours == pytest.approx(20)
    assert one.hours_cores == pytest.approx(20 / 160 * scale.SPREAD)
    assert one.hours_storage == pytest.approx(5000 / 3600)
    assert one.hours == one.hours_storage
