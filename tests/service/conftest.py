"""What the service's tests share."""

from pathlib import Path

import pytest

from tests.service.stores import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty spool with its queues."""
    return Store(tmp_path / "spool")
