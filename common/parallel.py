"""Do many small things at the same time, such as uploads, with the first error ending them all."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from threading import Event
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_parallel(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    threads: int,
    report: Callable[[int, int], None],
    stop: Event | None = None,
) -> list[Result]:
    """Return `work(item)` of each item, in the items' order; `threads` run at a time.

    `report` gets how many are done and their total. Raises the first error that `work` raises, or
    KeyboardInterrupt: what has not begun is then left out, `stop` is set, for work under way to
    look at, and nothing runs any more when this returns.
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
