from collections.abc import Iterator

import pytest


@pytest.fixture
def one_thread() -> Iterator[None]:
    """PyTorch on one thread, so that sums are taken in one order."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def alone() -> Iterator[None]:
    """One thread, so that a rerun can be the same to the bit; and no word to anyone outside."""
    torch = pytest.importorskip("torch")
    from huggingface_hub.utils import _telemetry

    def called() -> None:
        raise AssertionError("a library reported home")

    threads, start = torch.get_num_threads(), _telemetry._start_telemetry_thread
    torch.set_num_threads(1)
    _telemetry._start_telemetry_thread = called
    yield
    _telemetry._start_telemetry_thread = start
    torch.set_num_threads(threads)
