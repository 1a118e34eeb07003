"""The errors that the laptop's AWS answers with, worded and coded as AWS does."""


class AwsError(Exception):
    """An error answer of an AWS API.

    Attributes:
        code: what boto3 shows as `response["Error"]["Code"]`.
        message: the sentence beside it.
        status: the HTTP status.
        fields: further members of the error's shape, such as `OriginalStatusCode`.
    """

    def __init__(self, code: str, message: str, status: int = 400, fields: dict[str, object] | None = None) -> None:
        """Take code, message, HTTP status and the shape's further members."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields or {}


class ValidationFailedError(AwsError):
    """The request is wrong, or names something that is not there (`ValidationException`)."""

    def __init__(self, message: str) -> None:
        """Take what is wrong."""
        super().__init__("ValidationException", message)


class ResourceInUseError(AwsError):
    """A training job of this name exists already (`ResourceInUse`)."""

    def __init__(self, message: str) -> None:
        """Take what is in use."""
        super().__init__("ResourceInUse", message)
