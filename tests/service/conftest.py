"""What the service's tests share."""

from pathlib import Path

import pytest

from tests.service.stores import Store
from tests.service.worklists import Desk


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty spool with its queues."""
    return Store(tmp_path / "spool")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """An empty spool with its worklist."""
    return Desk(tmp_path / "spool")
