"""Work that is done again and again in the background, until it is stopped."""

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Every:
    """Calls a function every so many seconds, in a thread of its own."""

    def __init__(self, seconds: float, work: Callable[[], None]) -> None:
        """Start; the first call comes at once. What the function raises is logged."""
        self._seconds = seconds
        self._work = work
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=work.__name__, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it, after the call that is under way."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._work()
            except Exception:
                logger.exception("%s failed; it is tried again", self._thread.name)
            self._ended.wait(self._seconds)
