"""Which model guessed: the one that the endpoint serves, if it has since before the guess."""

import time
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

KNOWN_SECONDS = 60  # for so long an answer of SageMaker's is not asked for again


class ServedModels:
    """Finds the model behind an endpoint. A label is worth having without it too."""

    def __init__(self, sagemaker: Any) -> None:
        """Ask this client of SageMaker."""
        self._sagemaker = sagemaker
        self._known: dict[str, tuple[float, str | None, datetime | None]] = {}

    def name(self, endpoint: str | None, guessed: datetime) -> str | None:
        """Return the model's name; None where it cannot be found, or was changed since."""
        if endpoint is None:
            return None
        asked, model, since = self._known.get(endpoint, (0.0, None, None))
        if not asked or time.monotonic() - asked > KNOWN_SECONDS:
            model, since = self._ask(endpoint)
            self._known[endpoint] = (time.monotonic(), model, since)
        return model if since is not None and since <= guessed else None

    def _ask(self, endpoint: str) -> tuple[str | None, datetime | None]:
        try:
            found = self._sagemaker.describe_endpoint(EndpointName=endpoint)
            config = self._sagemaker.describe_endpoint_config(
                EndpointConfigName=found["EndpointConfigName"]
            )
        except (ClientError, BotoCoreError):  # gone, or not to be asked by this person
            return None, None
        models = {variant.get("ModelName") for variant in config["ProductionVariants"]}
        return (models.pop() if len(models) == 1 else None), found["LastModifiedTime"]
