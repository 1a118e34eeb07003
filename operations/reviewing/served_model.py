"""Find the model that made a guess: the one that the endpoint serves, if it was deployed before the guess."""

from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

CACHED_FOR = timedelta(minutes=1)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class ServedModels:
    """Finds the model behind an endpoint. A label without its model is still useful."""

    def __init__(self, sagemaker: Any) -> None:
        """Use this client of SageMaker."""
        self._sagemaker = sagemaker
        self._known: dict[str, tuple[datetime, str | None, datetime | None]] = {}

    def name(self, endpoint: str | None, guessed: datetime) -> str | None:
        """Return the model's name, None if it is unknown or has changed since the guess."""
        if endpoint is None:
            return None
        asked, model, since = self._known.get(endpoint, (LONG_AGO, None, None))
        # A cached answer says nothing about a later guess.
        if guessed > asked or _now() - asked > CACHED_FOR:
            asked = _now()
            model, since = self._ask(endpoint)
            self._known[endpoint] = (asked, model, since)
        return model if since is not None and since <= guessed else None

    def _ask(self, endpoint: str) -> tuple[str | None, datetime | None]:
        try:
            found = self._sagemaker.describe_endpoint(EndpointName=endpoint)
            config = self._sagemaker.describe_endpoint_config(EndpointConfigName=found["EndpointConfigName"])
        except (ClientError, BotoCoreError):  # deleted, or access denied
            return None, None
        models = {variant.get("ModelName") for variant in config["ProductionVariants"]}
        return (models.pop() if len(models) == 1 else None), found["LastModifiedTime"]


def _now() -> datetime:
    return datetime.now(UTC)
