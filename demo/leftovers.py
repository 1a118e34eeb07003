"""List the resources that a demo run has left.

SAM's own bucket for uploads (stack `aws-sam-cli-managed-default`) belongs to the account, and stays.
"""

from collections.abc import Callable, Iterable
from typing import Any

from common import settings
from training.endpoint.role import role_name
from training.endpoint.training_job import LOG_GROUP

# service, list operation, path of the names
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
    """Return `service: name` for every resource whose name contains one of the project, stack, endpoint or role."""
    project = settings.project()
    names = {project.name, project.stack_name, project.endpoint_name, role_name(region)}
    found = [(service, name) for service, operation, path in LISTS for name in listed(client(service), operation, path)]
    if ("logs", LOG_GROUP) in found:  # the group of all training jobs stays in the account
        path = "logStreams[].logStreamName"
        streams = listed(client("logs"), "describe_log_streams", path, logGroupName=LOG_GROUP)
        found += [("logs", name) for name in streams]
    return [f"{service}: {name}" for service, name in found if any(n in name for n in names)]


def listed(client: Any, operation: str, path: str, **arguments: str) -> Iterable[str]:
    """Return the names on all pages of a list operation."""
    pages = client.get_paginator(operation).paginate(**arguments)
    return [name for name in pages.search(path) if name]
