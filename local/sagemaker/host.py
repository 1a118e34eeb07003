"""What every job and endpoint of one running laptop's AWS shares."""

from dataclasses import dataclass
from pathlib import Path

from local.sagemaker.aws_clients import AwsClients
from local.sagemaker.child_process import ChildProcesses


@dataclass(frozen=True)
class Host:
    """The machine under the SageMaker stand-in.

    Attributes:
        state: folder for the files of jobs and endpoints.
        endpoint_url: where the laptop's AWS itself answers.
        clients: boto3 clients for that URL.
        children: the processes that were started.
    """

    state: Path
    endpoint_url: str
    clients: AwsClients
    children: ChildProcesses
