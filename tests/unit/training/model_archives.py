"""Archives as train.py leaves them, and a SageMaker that serves one."""

import io
import json
from typing import Any

from botocore.response import StreamingBody

from tests.archives import tar_gz
from tests.unit.aws_stubs import StubbedSession
from tests.unit.training.sagemaker_answers import described_config, described_endpoint, model_summary

MODEL_DATA = "s3://bucket/jobs/j/output/model.tar.gz"


def held_out(pictures: int, wrong: int = 0) -> dict[str, Any]:
    """Answers of rising confidence, from 0.6 up; the last ones, of the highest, are wrong."""
    confidences = [0.6 + 0.4 * n / pictures for n in range(pictures)]
    return {
        "source": "cross-validation",
        "classes": ["bicycle", "motorcycle"],
        "truth": [int(n >= pictures - wrong) for n in range(pictures)],
        "probabilities": [[c, 1 - c] for c in confidences],
    }


def model_archive(answers: object | None, metadata: object | None = None, prefix: str = "./") -> bytes:
    """Return a model.tar.gz with these contents of held_out.json and metadata.json."""
    files = {"metadata.json": json.dumps(metadata or {}), "model.pt": "weights"}
    if answers is not None:
        files["held_out.json"] = answers if isinstance(answers, str) else json.dumps(answers)
    return tar_gz({prefix + name: text for name, text in files.items()})


def body(content: bytes, length: int | None = None) -> dict[str, Any]:
    """Return what get_object answers."""
    return {
        "Body": StreamingBody(io.BytesIO(content), len(content)),  # type: ignore[no-untyped-call]
        "ContentLength": len(content) if length is None else length,
    }


def add_served_model(session: StubbedSession, archive: bytes | None) -> None:
    """Let endpoint e serve this archive; None: there is no such endpoint."""
    stub = session.stub("sagemaker")
    if archive is None:
        stub.add_client_error("describe_endpoint", "ValidationException", "Could not find it")
        return
    add_served_model_address(session)
    expected = {"Bucket": "bucket", "Key": "jobs/j/output/model.tar.gz"}
    session.stub("s3").add_response("get_object", body(archive), expected)


def add_served_model_address(session: StubbedSession) -> None:
    """Let endpoint e serve the archive at MODEL_DATA."""
    add_endpoint_config(session, [{"VariantName": "AllTraffic", "ModelName": "m"}])
    session.stub("sagemaker").add_response(
        "describe_model",
        {**model_summary("m"), "PrimaryContainer": {"Image": "i", "ModelDataUrl": MODEL_DATA}},
        {"ModelName": "m"},
    )


def add_endpoint_config(session: StubbedSession, variants: list[dict[str, Any]]) -> None:
    """Let endpoint e have a configuration with these variants."""
    stub = session.stub("sagemaker")
    stub.add_response("describe_endpoint", described_endpoint("e", "InService"), {"EndpointName": "e"})
    stub.add_response("describe_endpoint_config", described_config("c", variants), {"EndpointConfigName": "c"})
