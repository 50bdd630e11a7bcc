from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from ponder.engines.weights import ensure
from ponder.errors import PonderError

if TYPE_CHECKING:
    from tests.postgres import PostgresServer

# Tests run side by side, on machines that may be busy: how long an example takes says nothing.
settings.register_profile(
    "unhurried", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def lacking() -> Callable[[str], None]:
    """Call it when the machine lacks a part: skips loudly on a user's machine, fails in CI."""

    def say(what: str) -> None:
        if os.environ.get("CI"):
            pytest.fail(f"CI must have it: {what}")
        pytest.skip(f"NOT TESTED on this machine: {what}")

    return say


@pytest.fixture(scope="session")
def weights(lacking: Callable[[str], None]) -> Path:
    """The embedded model's file, pulled if it is not here."""
    try:
        return ensure("smollm2")
    except PonderError as error:
        lacking(f"the weights of smollm2 ({error})")
        raise


@pytest.fixture(scope="session")
def postgres(lacking: Callable[[str], None]) -> Iterator[PostgresServer]:
    """A PostgreSQL server of the tests' own."""
    from tests.postgres import PostgresServer, binaries

    found = binaries()
    if found is None:
        lacking("PostgreSQL's server, for ledgers on it (apt-get install postgresql)")
    server = PostgresServer(Path(str(found)))
    yield server
    server.remove()


@pytest.fixture(scope="session")
def chromium(lacking: Callable[[str], None]) -> Path:
    """The system's browser."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        lacking("a browser, for the pages (apt-get install chromium)")
    return Path(str(found))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    if os.name != "posix" or os.geteuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("a small disk can be mounted by root alone; the file-size limit is tested instead")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
