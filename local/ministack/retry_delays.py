"""`MaxDelaySeconds` and `JitterStrategy` of a state machine's `Retry`.

MiniStack ignores both: every execution of a burst retries at the same moment, after delays that double up to 60 s. With
the patch the rule's own maximum limits them, and FULL jitter draws them between zero and that; the limit of 60 s stays.
TestState, which does not wait, always reports the delay of the first retry.
"""

import random
from collections.abc import Callable
from typing import Any

from ministack.services import stepfunctions as sfn

from local.ministack.patches import Patches

# AWS's defaults, https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
_INTERVAL_SECONDS = 1
_BACKOFF_RATE = 2.0
patches = Patches(__name__)
# Both wait as long as the rule says that _find_matching_retrier returns.
patches.rely_on(sfn, "_execute_task", "53c818d2")
patches.rely_on(sfn, "_with_retry_and_catch", "b351699d")


@patches.wrap(sfn, "_find_matching_retrier", "cb494ae8")
def _with_delay(find: Callable[..., Any]) -> Callable[..., Any]:
    def find_matching_retrier(
        retriers: list[dict[str, Any]], error: str, retry_counts: dict[int, int]
    ) -> tuple[dict[str, Any] | None, int]:
        retrier, index = find(retriers, error, retry_counts)
        if retrier is None:
            return None, index
        delay = delay_seconds(retrier, retry_counts.get(index, 0))
        return retrier | {"IntervalSeconds": delay, "BackoffRate": 1.0}, index

    return find_matching_retrier


def delay_seconds(retrier: dict[str, Any], retries: int) -> float:
    """Return the delay before the next attempt after a number of retries by a rule, in seconds."""
    rate = retrier.get("BackoffRate", _BACKOFF_RATE)
    longest = float(retrier.get("IntervalSeconds", _INTERVAL_SECONDS) * rate**retries)
    longest = min(longest, float(retrier.get("MaxDelaySeconds", longest)))
    if retrier.get("JitterStrategy") == "FULL":
        return random.uniform(0, longest)  # noqa: S311  a delay, not a secret
    return longest
