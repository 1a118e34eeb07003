"""How long a `Retry` of a state machine waits: `MaxDelaySeconds` and `JitterStrategy`.

MiniStack 1.5.33 ignores both: every execution of a burst tries again at the same moment, after
pauses that double up to 60 s. Here a pause ends at the rule's own bound, and FULL jitter draws it
between zero and that, as AWS does; MiniStack's bound of 60 s stays. TestState, which waits for
nothing, names a pause of this kind too, and without the tries before it.
tests/integration/test_ministack_gaps.py fails when MiniStack closes the gap.
"""

import random
from typing import Any

from ministack.services import stepfunctions as sfn

from local.ministack.ministack_source import check_source

_FILE = "local/ministack/retry_delays.py"
# AWS's defaults, https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
_INTERVAL_SECONDS = 1
_BACKOFF_RATE = 2.0


def install() -> None:
    """Change MiniStack's Step Functions in this process; call once, before the first execution.

    Raises:
        MiniStackChangedError: when MiniStack's version has changed.
    """
    find = sfn._find_matching_retrier
    check_source(find, "cb494ae8", _FILE)
    # These two wait for what the rule that was found says.
    check_source(sfn._execute_task, "53c818d2", _FILE)
    check_source(sfn._with_retry_and_catch, "b351699d", _FILE)

    def find_matching_retrier(
        retriers: list[dict[str, Any]], error: str, retry_counts: dict[int, int]
    ) -> tuple[dict[str, Any] | None, int]:
        retrier, index = find(retriers, error, retry_counts)
        if retrier is None:
            return None, index
        pause = delay_seconds(retrier, retry_counts.get(index, 0))
        return retrier | {"IntervalSeconds": pause, "BackoffRate": 1.0}, index

    sfn._find_matching_retrier = find_matching_retrier


def delay_seconds(retrier: dict[str, Any], retries: int) -> float:
    """Return how long to wait before a state is tried again, in seconds.

    Args:
        retrier: a rule of the state's `Retry`.
        retries: how many there have been by this rule.
    """
    rate = retrier.get("BackoffRate", _BACKOFF_RATE)
    longest = float(retrier.get("IntervalSeconds", _INTERVAL_SECONDS) * rate**retries)
    longest = min(longest, float(retrier.get("MaxDelaySeconds", longest)))
    if retrier.get("JitterStrategy") == "FULL":
        return random.uniform(0, longest)  # noqa: S311  no secret, a pause
    return longest
