"""Read where pictures ended from the predictions table, the workflow's ledger."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from common.errors import ExpectedError
from operations.sending.arrivals import Arrival, Place

MOST_KEYS = 100  # of one BatchGetItem

# What an item's `outcome` means. "reviewed" is what becomes of "review" once a person has decided.
PLACES: dict[str, Place] = {"accepted": "accepted", "review": "review", "reviewed": "review"}


class UnknownOutcomeError(ExpectedError):
    """The table holds an outcome that this version of the program does not know."""


def read_ledger(dynamodb: Any, table: str, bucket: str, arrivals: Sequence[Arrival]) -> None:
    """Note in each arrival what the table says of its version; no item says nothing.

    A review counts once its message is in the queue: until then it may still fail. What DynamoDB
    leaves unread of a batch is left for the next time. Raises UnknownOutcomeError, ClientError.
    """
    by_key = {(f"s3://{bucket}/{a.key}", str(a.version_id)): a for a in arrivals}
    for keys in _batches(list(by_key)):
        wanted = [{"picture": {"S": p}, "version_id": {"S": version}} for p, version in keys]
        # Consistent, so that what an ended execution wrote is there.
        answer = dynamodb.batch_get_item(RequestItems={table: {"Keys": wanted, "ConsistentRead": True}})
        for item in answer["Responses"].get(table, []):
            note(by_key[item["picture"]["S"], item["version_id"]["S"]], item)


def note(arrival: Arrival, item: dict[str, Any]) -> None:
    """Note what an item says, in place of an execution's failure. Raises UnknownOutcomeError."""
    outcome = item.get("outcome", {}).get("S", "")
    if outcome not in PLACES:
        raise UnknownOutcomeError(
            f"The predictions table says {outcome!r} of {arrival.key}, which this program does not"
            f" know (only {', '.join(PLACES)}): use the one that belongs to the deployed stack."
        )
    if outcome == "review" and not item.get("queued", {}).get("BOOL"):
        return
    if arrival.execution_arn != item["execution_arn"]["S"]:
        arrival.execution_arn, arrival.stopped = item["execution_arn"]["S"], None
    arrival.label = item["label"]["S"] if outcome == "accepted" else None
    arrival.guess = item["guess"]["S"] if outcome == "review" else None
    arrival.confidence = float(item["confidence"]["N"])
    arrival.error = arrival.cause = None
    arrival.place = PLACES[outcome]


def _batches(keys: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    rest = iter(keys)
    while batch := list(islice(rest, MOST_KEYS)):
        yield batch
