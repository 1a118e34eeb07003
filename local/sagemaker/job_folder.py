"""The folder that replaces `/opt/ml` in a training job, with the files that SageMaker writes.

AWS documents them under "How Amazon SageMaker AI provides training information".
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

CONTAINER_PREFIX = "/opt/ml"
_HOST = "algo-1"


class JobFolder:
    """The paths of one training job."""

    def __init__(self, root: Path) -> None:
        """Set the job's folder; `make` creates its content."""
        self.opt_ml = root / "opt" / "ml"
        self.config = self.opt_ml / "input" / "config"
        self.data = self.opt_ml / "input" / "data"
        self.code = self.opt_ml / "code"
        self.model = self.opt_ml / "model"
        self.output_data = self.opt_ml / "output" / "data"
        self.failure = self.opt_ml / "output" / "failure"
        self.scratch = root / "tmp"
        self.log = root / "log.txt"

    def make(self) -> None:
        """Create the folders of a new instance, without the files of the previous one except the log."""
        for folder in (self.opt_ml, self.scratch):
            if folder.exists():
                shutil.rmtree(folder)
        for folder in (self.config, self.data, self.code, self.model, self.output_data, self.scratch):
            folder.mkdir(parents=True)
        self.log.touch()

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
                    {"instance_group_name": "homogeneousCluster", "instance_type": instance_type, "hosts": [_HOST]}
                ],
                "network_interface_name": "lo",
            },
        }
        for name, content in files.items():
            (self.config / name).write_text(json.dumps(content))

    def localise_drivers(self, drivers: Path) -> None:
        """Replace the constant `/opt/ml` by this folder in the job's copy of the SDK's container drivers."""
        for path in drivers.rglob("*"):
            if path.suffix in (".sh", ".py") and path.is_file():
                text = path.read_text()
                if CONTAINER_PREFIX in text:
                    path.write_text(self.localise(text))

    def localise(self, text: str) -> str:
        """Return a text with `/opt/ml` replaced by this folder."""
        return text.replace(CONTAINER_PREFIX, str(self.opt_ml))

    def environment(self, request: dict[str, Any], arn: str, base: dict[str, str]) -> dict[str, str]:
        """Return the environment variables of the training container: `base` and those of the job, not the shell's."""
        return {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "HOME": str(self.scratch),
            "TMPDIR": str(self.scratch),
            **base,
            "TRAINING_JOB_NAME": request["TrainingJobName"],
            "TRAINING_JOB_ARN": arn,
            **request.get("Environment", {}),
        }
