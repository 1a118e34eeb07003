import threading

from local.periodic import PeriodicTask


def test_periodic_task_continues_after_an_error_until_stopped(caplog):
    calls: list[int] = []
    three_calls = threading.Event()

    def work() -> None:
        calls.append(1)
        if len(calls) == 3:
            three_calls.set()
        raise ValueError("the queue is missing")

    task = PeriodicTask(0.001, work)
    assert three_calls.wait(60)
    task.stop()
    assert not task._thread.is_alive()
    assert "work failed; it will run again" in caplog.text
