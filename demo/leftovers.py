"""What a demo run has left behind, by asking each service for what bears one of its names.

SAM's own bucket for uploads (stack `aws-sam-cli-managed-default`) belongs to the account, not to
this project, and stays.
"""

from collections.abc import Callable, Iterable
from typing import Any

from common import settings
from training.endpoint.role import role_name
from training.endpoint.training_job import LOG_GROUP

# service, operation that lists, where the names are; each lists all of its pages
LISTS = [
    ("cloudformation", "describe_stacks", "Stacks[].StackName"),
    ("cloudwatch", "describe_alarms", "MetricAlarms[].AlarmName"),
    ("cloudwatch", "list_dashboards", "DashboardEntries[].DashboardName"),
    ("dynamodb", "list_tables", "TableNames[]"),
    ("events", "list_rules", "Rules[].Name"),
    ("iam", "list_roles", "Roles[].RoleName"),
    ("lambda", "list_functions", "Functions[].FunctionName"),
    ("logs", "describe_log_groups", "logGroups[].logGroupName"),
    ("s3", "list_buckets", "Buckets[].Name"),
    ("sagemaker", "list_endpoint_configs", "EndpointConfigs[].EndpointConfigName"),
    ("sagemaker", "list_endpoints", "Endpoints[].EndpointName"),
    ("sagemaker", "list_models", "Models[].ModelName"),
    ("sagemaker", "list_training_jobs", "TrainingJobSummaries[].TrainingJobName"),
    ("sns", "list_subscriptions", "Subscriptions[].SubscriptionArn"),
    ("sns", "list_topics", "Topics[].TopicArn"),
    ("sqs", "list_queues", "QueueUrls[]"),
    ("stepfunctions", "list_state_machines", "stateMachines[].name"),
]


def leftovers(client: Callable[[str], Any], region: str) -> list[str]:
    """Return `service: name` for everything with a name of the project, stack or role in it."""
    names = {
        settings.project().name,
        settings.project().stack_name,
        settings.project().endpoint_name,
        role_name(region),
    }
    found = [(service, name) for service, operation, path in LISTS for name in listed(client(service), operation, path)]
    if ("logs", LOG_GROUP) in found:  # AWS keeps the group of all training jobs, empty or not
        streams = listed(
            client("logs"),
            "describe_log_streams",
            "logStreams[].logStreamName",
            logGroupName=LOG_GROUP,
        )
        found += [("logs", stream) for stream in streams]
    return [f"{service}: {name}" for service, name in found if any(n in name for n in names)]


def listed(client: Any, operation: str, path: str, **arguments: str) -> Iterable[str]:
    """Return what one list operation names, over all pages."""
    pages = client.get_paginator(operation).paginate(**arguments)
    return [name for name in pages.search(path) if name]
