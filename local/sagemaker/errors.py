"""Error answers of the SageMaker stand-in, with AWS's codes and messages."""


class AwsError(Exception):
    """An error answer of an AWS API."""

    def __init__(self, code: str, message: str, status: int = 400, fields: dict[str, object] | None = None) -> None:
        """Set boto3's code and message, the HTTP status, and further members such as `OriginalStatusCode`."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields or {}


class ValidationFailedError(AwsError):
    """The request is invalid or names an unknown resource (`ValidationException`)."""

    def __init__(self, message: str) -> None:
        """Set the message."""
        super().__init__("ValidationException", message)
