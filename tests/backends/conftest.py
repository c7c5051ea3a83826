"""What the tests of a shared server begin with; others here have model sets of their own."""

from typing import TYPE_CHECKING

import pytest

from tests.tiny_models import write_full_set
from vfx_edge.manifest import ModelManifest, load_model_set

if TYPE_CHECKING:
    from tests.backends.played_server import Played


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModelManifest:
    """A whole set in two precisions, as a server would hold it."""
    folder = tmp_path_factory.mktemp("served") / "set"
    return load_model_set(write_full_set(folder, precisions=("fp32", "fp16")))


@pytest.fixture
def played(models: ModelManifest) -> "Played":
    """A server that answers with that set."""
    from tests.backends.played_server import Played  # needs the extra kserve

    return Played(models)
