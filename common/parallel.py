"""Run many small tasks, such as uploads, in threads; the first error ends them all."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from threading import Event
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def usable_cores() -> int:
    """Return how many processor cores this process may use, as a container's share."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_parallel(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    threads: int,
    report: Callable[[int, int], None],
    stop: Event | None = None,
) -> list[Result]:
    """Return `work(item)` of each item, in the items' order; `threads` run at a time.

    `report` gets the number done and the total. Raises the first error that `work` raises, or KeyboardInterrupt: then
    tasks that have not begun are cancelled, `stop` is set for running ones to read, and all have ended.
    """
    with ThreadPoolExecutor(threads) as pool:
        begun: list[Future[Result]] = []
        try:
            begun.extend(pool.submit(work, item) for item in items)
            for done, future in enumerate(as_completed(begun), start=1):
                future.result()
                report(done, len(begun))
        except BaseException:
            if stop is not None:
                stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return [future.result() for future in begun]
