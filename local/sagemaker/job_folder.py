"""The folder that stands for `/opt/ml` in a training job: what SageMaker writes before the start.

AWS documents these files under "How Amazon SageMaker AI provides training information".
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from local.sagemaker.arns import REGION

CONTAINER_PREFIX = "/opt/ml"
_HOST = "algo-1"


class JobFolder:
    """The paths below one job's stand-in for `/opt/ml`."""

    def __init__(self, root: Path) -> None:
        """Take the job's folder; `make` makes what is in it."""
        self.opt_ml = root / "opt" / "ml"
        self.config = self.opt_ml / "input" / "config"
        self.data = self.opt_ml / "input" / "data"
        self.code = self.opt_ml / "code"
        self.model = self.opt_ml / "model"
        self.output = self.opt_ml / "output"
        self.output_data = self.output / "data"
        self.failure = self.output / "failure"
        self.scratch = root / "tmp"
        self.log = root / "log.txt"

    def make(self) -> None:
        """Make every folder that a training container finds, as on an instance of its own.

        What another instance left is deleted; only the log goes on.
        """
        for former in (self.opt_ml, self.scratch):
            if former.exists():
                shutil.rmtree(former)
        for folder in (
            self.config,
            self.data,
            self.code,
            self.model,
            self.output_data,
            self.scratch,
        ):
            folder.mkdir(parents=True, exist_ok=True)
        self.log.touch()

    def channel(self, name: str) -> Path:
        """Return the folder of an input channel."""
        return self.data / name

    def write_config(self, request: dict[str, Any]) -> None:
        """Write hyperparameters.json, inputdataconfig.json and resourceconfig.json."""
        instance_type = request["ResourceConfig"].get("InstanceType", "local")
        files = {
            "hyperparameters.json": request.get("HyperParameters", {}),
            "inputdataconfig.json": {
                channel["ChannelName"]: {
                    "TrainingInputMode": channel.get("InputMode", "File"),
                    "S3DistributionType": channel["DataSource"]["S3DataSource"].get(
                        "S3DataDistributionType", "FullyReplicated"
                    ),
                    "RecordWrapperType": channel.get("RecordWrapperType", "None"),
                }
                for channel in request.get("InputDataConfig", [])
            },
            "resourceconfig.json": {
                "current_host": _HOST,
                "current_instance_type": instance_type,
                "current_group_name": "homogeneousCluster",
                "hosts": [_HOST],
                "instance_groups": [
                    {
                        "instance_group_name": "homogeneousCluster",
                        "instance_type": instance_type,
                        "hosts": [_HOST],
                    }
                ],
                "network_interface_name": "lo",
            },
        }
        for name, content in files.items():
            (self.config / name).write_text(json.dumps(content))

    def localise_drivers(self, drivers: Path) -> None:
        """Make the SDK's container drivers work in this folder.

        They name `/opt/ml` as a constant; in this job's copy of them it reads as the job's folder.
        Nothing else in AWS's own files changes.
        """
        for path in drivers.rglob("*"):
            if path.suffix in (".sh", ".py") and path.is_file():
                text = path.read_text()
                if CONTAINER_PREFIX in text:
                    path.write_text(self.localise(text))

    def localise(self, text: str) -> str:
        """Return a text with `/opt/ml` replaced by this folder."""
        return text.replace(CONTAINER_PREFIX, str(self.opt_ml))

    def environment(self, request: dict[str, Any], arn: str, endpoint_url: str) -> dict[str, str]:
        """Return the environment variables of the training container.

        Only what a container has, so that a script cannot lean on the user's shell; no
        OMP_NUM_THREADS, so that torch takes every core of the machine.
        """
        name = request["TrainingJobName"]
        return {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "HOME": str(self.scratch),
            "TMPDIR": str(self.scratch),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": endpoint_url,
            "TRAINING_JOB_NAME": name,
            "TRAINING_JOB_ARN": arn,
            **request.get("Environment", {}),
        }
