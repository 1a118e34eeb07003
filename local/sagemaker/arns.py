"""Who the laptop's AWS is: one account, one region, and the ARNs that SageMaker makes of them."""

ACCOUNT = "000000000000"  # MiniStack's account for every access key that is not 12 digits
REGION = "us-east-1"


def sagemaker_arn(kind: str, name: str) -> str:
    """Return the ARN of a SageMaker resource; SageMaker writes its name in lower case."""
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{name.lower()}"
