"""The notifications in a queue, which is drained at each read, so that no message is hidden."""

import json
from typing import Any

from tests.integration.deployed_machines import start
from tests.integration.laptop_aws import wait_until
from tests.integration.workflow_stack import ANSWER_SECONDS, Stack

Body = dict[str, Any]


class Mailbox:
    """The messages of one queue since the creation of this object."""

    def __init__(self, stack: Stack, url: str) -> None:
        """Drain the queue at `url`, which has no other reader."""
        self._stack = stack
        self._sqs = stack.aws.client("sqs")
        self._url = url
        self._bodies: list[Body] = []

    def all(self) -> list[Body]:
        """Return every message so far, roughly in the order of their arrival."""
        while found := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10, VisibilityTimeout=60).get(
            "Messages"
        ):
            for message in found:
                self._bodies.append(json.loads(message["Body"]))
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return list(self._bodies)

    def of(self, execution_arn: str) -> list[Body]:
        """Return the messages of one execution: the workflow's own, and EventBridge's about it."""
        return [body for body in self.all() if execution_arn in (body.get("execution_arn"), body.get("executionArn"))]

    def about(self, event: dict[str, Any]) -> list[Body]:
        """Return the workflow's messages about one version of a picture, of any execution."""
        names = ("s3_bucket", "s3_key", "s3_version_id")
        return [body for body in self.all() if all(body.get(n) == event[n] for n in names)]

    def wait(self, execution_arn: str) -> list[Body]:
        """Return the messages of one execution once there is one."""
        return wait_until(lambda: self.of(execution_arn) or None, ANSWER_SECONDS)

    def wait_for_later(self) -> None:
        """Stop an execution and wait for its message, which arrives after EventBridge's messages of earlier ones."""
        stepfunctions = self._stack.aws.client("stepfunctions")
        for _ in range(20):  # it may fail by itself before it is stopped
            arn = start(self._stack, {"s3_bucket": "none", "s3_key": "none"})
            try:
                stepfunctions.stop_execution(executionArn=arn)
            except stepfunctions.exceptions.ClientError as error:
                if error.response["Error"]["Code"] != "ValidationException":
                    raise
                continue
            self.wait_for_end(arn)
            return
        raise AssertionError("no execution could be stopped before it had ended")

    def wait_for_end(self, execution_arn: str) -> None:
        """Wait for EventBridge's message of an execution."""
        wait_until(lambda: any("executionArn" in body for body in self.of(execution_arn)) or None, ANSWER_SECONDS)


def assert_failed(execution: Body, error: str, notifications: Mailbox, event: Body | None = None) -> str:
    """Assert that the execution failed with this error, or service such as "SQS.", and sent one notification.

    Returns the cause.
    """
    name = execution["error"]
    assert execution["status"] == "FAILED", execution
    assert name.startswith(error) if error.endswith(".") else name == error, execution
    notifications.wait_for_later()
    [message] = notifications.of(execution["executionArn"])
    assert message["error"] == {"Error": name, "Cause": execution["cause"]}
    if event:
        assert {name: message.get(name) for name in event} == event
    return str(execution["cause"])
