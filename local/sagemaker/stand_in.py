"""The SageMaker stand-in: its operations by name."""

from local.sagemaker.endpoints import Endpoints
from local.sagemaker.errors import AwsError
from local.sagemaker.faults import Faults
from local.sagemaker.host import Host
from local.sagemaker.interruptions import Interruptions
from local.sagemaker.invocations import Invocations, RecordMetric
from local.sagemaker.model_catalog import ModelCatalog, Operation
from local.sagemaker.shapes import parse_request, serialize_answer
from local.sagemaker.tags import Tags
from local.sagemaker.training_jobs import TrainingJobs


class SageMakerStandIn:
    """The SageMaker of one running laptop's AWS."""

    def __init__(self, host: Host, record: RecordMetric) -> None:
        """Start without jobs and endpoints; `record` records the metrics of the endpoints."""
        self._host = host
        self.faults = Faults()
        self.interruptions = Interruptions()
        tags = Tags()
        catalog = ModelCatalog(host, tags)
        jobs = TrainingJobs(host, tags, self.interruptions)
        self.endpoints = Endpoints(host, catalog, tags)
        self.invocations = Invocations(self.endpoints, self.faults, record)
        self._operations: dict[str, Operation] = {
            "CreateTrainingJob": jobs.create,
            "DescribeTrainingJob": jobs.describe,
            "ListTrainingJobs": jobs.list,
            "StopTrainingJob": jobs.stop,
            "DeleteTrainingJob": jobs.delete,
            **catalog.models.operations(),
            **catalog.configs.operations(),
            "CreateEndpoint": self.endpoints.create,
            "DescribeEndpoint": self.endpoints.describe,
            "ListEndpoints": self.endpoints.list,
            "UpdateEndpoint": self.endpoints.update,
            "DeleteEndpoint": self.endpoints.delete,
            "AddTags": tags.add_tags,
            "ListTags": tags.list_tags,
            "DeleteTags": tags.delete_tags,
        }

    def answer(self, operation: str, body: bytes) -> bytes:
        """Return the JSON answer of one operation. This blocks: call it in a thread.

        Raise AwsError for a request that AWS would reject, and an operation that the laptop's AWS does not have.
        """
        request = parse_request(operation, body)
        run = self._operations.get(operation)
        if run is None:
            raise AwsError("UnknownOperationException", f"The laptop's AWS does not have SageMaker.{operation}")
        return serialize_answer(operation, run(request))

    def close(self) -> None:
        """End every process of every job and endpoint."""
        self.endpoints.close()
        self._host.children.stop_all()
