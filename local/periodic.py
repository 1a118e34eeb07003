"""Work that repeats in the background until it is stopped."""

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)


class PeriodicTask:
    """Calls a function every few seconds in its own thread."""

    def __init__(self, seconds: float, work: Callable[[], None]) -> None:
        """Start with a first call at once; log what the function raises."""
        self._seconds = seconds
        self._work = work
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=work.__name__, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop after the current call."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._work()
            except Exception:
                logger.exception("%s failed; it will run again", self._thread.name)
            self._ended.wait(self._seconds)
