"""What a demo run has left behind, by asking each service for what bears the stack's name."""

from collections.abc import Callable, Iterable
from typing import Any

from training import settings

# service, operation that lists, where the names are; each lists all of its pages
LISTS = [
    ("cloudformation", "describe_stacks", "Stacks[].StackName"),
    ("dynamodb", "list_tables", "TableNames[]"),
    ("events", "list_rules", "Rules[].Name"),
    ("iam", "list_roles", "Roles[].RoleName"),
    ("lambda", "list_functions", "Functions[].FunctionName"),
    ("logs", "describe_log_groups", "logGroups[].logGroupName"),
    ("s3", "list_buckets", "Buckets[].Name"),
    ("sagemaker", "list_endpoint_configs", "EndpointConfigs[].EndpointConfigName"),
    ("sagemaker", "list_endpoints", "Endpoints[].EndpointName"),
    ("sagemaker", "list_models", "Models[].ModelName"),
    ("sns", "list_topics", "Topics[].TopicArn"),
    ("sqs", "list_queues", "QueueUrls[]"),
    ("stepfunctions", "list_state_machines", "stateMachines[].name"),
]


def leftovers(client: Callable[[str], Any]) -> list[str]:
    """Return `service: name` for everything with the project's or the stack's name in it."""
    names = {settings.PROJECT, settings.STACK_NAME, settings.ENDPOINT_NAME}
    return [
        f"{service}: {found}"
        for service, operation, path in LISTS
        for found in listed(client(service), operation, path)
        if any(name in found for name in names)
    ]


def listed(client: Any, operation: str, path: str) -> Iterable[str]:
    """Return what one list operation names, over all pages."""
    pages = client.get_paginator(operation).paginate()
    return [name for name in pages.search(path) if name]
