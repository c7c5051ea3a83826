"""A CT with made-up findings, read from files: no chain has to run."""

import pytest

from tests.outputs.dicom.reading import Study, studies


@pytest.fixture(scope="session")
def axial(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return studies("axial", tmp_path_factory.mktemp("axial") / "ct")
