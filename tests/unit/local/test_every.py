import threading

import pytest

from local.every import Every


def test_it_goes_on_after_an_error_and_ends_when_told(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[int] = []
    enough = threading.Event()

    def work() -> None:
        calls.append(1)
        if len(calls) == 3:
            enough.set()
        raise ValueError("the queue is gone")

    every = Every(0.001, work)
    assert enough.wait(5)
    every.stop()
    assert not every._thread.is_alive()
    assert "work failed; it is tried again" in caplog.text
