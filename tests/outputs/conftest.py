"""The example's analysis and its page."""

import pytest

from tests.outputs.fakes import example
from tests.outputs.page import Page
from vfx_edge.outputs.report.page import render_report
from vfx_edge.study import Analysis


@pytest.fixture(scope="session")
def analysis() -> Analysis:
    return example()


@pytest.fixture(scope="session")
def page(analysis: Analysis) -> Page:
    return Page(render_report(analysis))
