"""Account and region of the laptop's AWS, and the ARNs of its SageMaker resources."""

ACCOUNT = "000000000000"  # MiniStack's for every access key that is not 12 digits
REGION = "us-east-1"


def sagemaker_arn(kind: str, name: str) -> str:
    """Return the ARN of a SageMaker resource, with the name in lower case, as SageMaker does."""
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{name.lower()}"
