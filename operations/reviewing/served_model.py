"""Which model guessed: the one that the endpoint serves, if it has since before the guess."""

from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

KNOWN_FOR = timedelta(minutes=1)  # for so long an answer of SageMaker's is not asked for again
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class ServedModels:
    """Finds the model behind an endpoint. A label is worth having without it too."""

    def __init__(self, sagemaker: Any) -> None:
        """Ask this client of SageMaker."""
        self._sagemaker = sagemaker
        self._known: dict[str, tuple[datetime, str | None, datetime | None]] = {}

    def name(self, endpoint: str | None, guessed: datetime) -> str | None:
        """Return the model's name; None where it cannot be found, or was changed since."""
        if endpoint is None:
            return None
        asked, model, since = self._known.get(endpoint, (LONG_AGO, None, None))
        # Of a guess made after it was asked, an answer says nothing.
        if guessed > asked or _now() - asked > KNOWN_FOR:
            asked = _now()
            model, since = self._ask(endpoint)
            self._known[endpoint] = (asked, model, since)
        return model if since is not None and since <= guessed else None

    def _ask(self, endpoint: str) -> tuple[str | None, datetime | None]:
        try:
            found = self._sagemaker.describe_endpoint(EndpointName=endpoint)
            config = self._sagemaker.describe_endpoint_config(EndpointConfigName=found["EndpointConfigName"])
        except (ClientError, BotoCoreError):  # gone, or not to be asked by this person
            return None, None
        models = {variant.get("ModelName") for variant in config["ProductionVariants"]}
        return (models.pop() if len(models) == 1 else None), found["LastModifiedTime"]


def _now() -> datetime:
    return datetime.now(UTC)
