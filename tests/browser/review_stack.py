"""The resources of a review on the tests' own laptop's AWS: queue, table and both buckets.

Without the workflow: this module writes what a review reads of what the states Claim Review, Send To Review and
Confirm Review write. tests/integration/test_review.py has the real workflow.
"""

import json
from typing import Any, NamedTuple

from common.predictions import PredictionKey
from common.settings import default_bucket, project
from tests.integration.laptop_aws import LaptopAws
from tests.unit.operations.review_backend import body

TRAINING_BUCKET = default_bucket("000000000000", "us-east-1")  # what the laptop's AWS knows
HOLD_SECONDS = 10  # the template has 300: too long for a test to wait for
KEY = {"picture": "HASH", "version_id": "RANGE"}
RESOURCES: dict[str, Any] = {
    "Pictures": {"Type": "AWS::S3::Bucket", "Properties": {"VersioningConfiguration": {"Status": "Enabled"}}},
    "Predictions": {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in KEY],
            "KeySchema": [{"AttributeName": name, "KeyType": kind} for name, kind in KEY.items()],
        },
    },
    "Review": {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": HOLD_SECONDS}},
}
OUTPUTS = {
    "PicturesBucketName": {"Value": {"Ref": "Pictures"}},
    "PredictionsTableName": {"Value": {"Ref": "Predictions"}},
    "ReviewQueueUrl": {"Value": {"Ref": "Review"}},
    "StateMachineArn": {"Value": "arn:aws:states:us-east-1:000000000000:stateMachine:none"},
}


class ReviewStack(NamedTuple):
    """The laptop's AWS and the outputs of the stack in it."""

    aws: LaptopAws
    outputs: dict[str, str]

    def ask(self, name: str, content: bytes, storage: str = "STANDARD", **changes: Any) -> str:
        """Put a picture, whose key begins with `name`, into review; return its key."""
        key = f"inbox/{name}.png"
        bucket = self.outputs["PicturesBucketName"]
        given = {"Bucket": bucket, "Key": key, "Body": content, "StorageClass": storage}
        version = self.aws.client("s3").put_object(**given)["VersionId"]
        item = PredictionKey(f"s3://{bucket}/{key}", version).attributes() | {
            "outcome": {"S": "review"},
            "queued": {"BOOL": True},
            "decided_at": {"S": "2026-11-23T08:00:00.000Z"},
        }
        self.aws.client("dynamodb").put_item(TableName=self.outputs["PredictionsTableName"], Item=item)
        self._send(body(s3_bucket=bucket, s3_key=key, s3_version_id=version, **changes))
        return key

    def ask_again(self, key: str) -> None:
        """Queue a second message about a picture, as after a lost answer of SQS."""
        version = self.items()[key]["version_id"]["S"]
        self._send(body(s3_bucket=self.outputs["PicturesBucketName"], s3_key=key, s3_version_id=version))

    def _send(self, message: str) -> None:
        self.aws.client("sqs").send_message(QueueUrl=self.outputs["ReviewQueueUrl"], MessageBody=message)

    def labels(self) -> dict[str, dict[str, Any]]:
        """Return all labels by the picture's key."""
        s3 = self.aws.client("s3")
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=TRAINING_BUCKET, Prefix="review-labels/")
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        found = [json.loads(s3.get_object(Bucket=TRAINING_BUCKET, Key=key)["Body"].read()) for key in keys]
        by_key = {label["s3_key"]: label for label in found}
        assert len(by_key) == len(keys), "two labels of one picture"
        return by_key

    def items(self) -> dict[str, dict[str, Any]]:
        """Return all items of the predictions table by the picture's key."""
        scan = self.aws.client("dynamodb").get_paginator("scan")
        pages = scan.paginate(TableName=self.outputs["PredictionsTableName"], ConsistentRead=True)
        prefix = f"s3://{self.outputs['PicturesBucketName']}/"
        return {item["picture"]["S"].removeprefix(prefix): item for page in pages for item in page["Items"]}

    def waiting(self) -> int:
        """Return how many messages the queue has, visible or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        asked = {"QueueUrl": self.outputs["ReviewQueueUrl"], "AttributeNames": names}
        return sum(map(int, self.aws.client("sqs").get_queue_attributes(**asked)["Attributes"].values()))

    def clear(self) -> None:
        """Delete all questions and labels, for the next test."""
        self.aws.client("sqs").purge_queue(QueueUrl=self.outputs["ReviewQueueUrl"])
        s3 = self.aws.client("s3")
        for item in s3.list_objects_v2(Bucket=TRAINING_BUCKET).get("Contents", []):
            s3.delete_object(Bucket=TRAINING_BUCKET, Key=item["Key"])


def make_stack(aws: LaptopAws) -> ReviewStack:
    """Create the resources with CloudFormation."""
    aws.client("s3").create_bucket(Bucket=TRAINING_BUCKET)
    cloudformation = aws.client("cloudformation")
    cloudformation.create_stack(
        StackName=project().stack_name, TemplateBody=json.dumps({"Resources": RESOURCES, "Outputs": OUTPUTS})
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName=project().stack_name, WaiterConfig={"Delay": 1})
    [stack] = cloudformation.describe_stacks(StackName=project().stack_name)["Stacks"]
    return ReviewStack(aws, {o["OutputKey"]: o["OutputValue"] for o in stack["Outputs"]})
