from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serve.serving import Serving, serving, thinker


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server whose model thinks and answers 13."""
    with serving(tmp_path_factory.mktemp("served"), thinker()) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path
