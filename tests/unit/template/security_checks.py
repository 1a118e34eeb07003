"""Checks that checkov lacks: functions of a transformed template (intrinsic functions in place) that return findings.

Resources are found by type, never by name, so that a new queue is checked like the old ones. Each exception stands
here with its reason, and an exception that nothing uses any more is itself a finding.
"""

import json
from collections.abc import Iterator
from typing import Any

Template = dict[str, Any]
Statement = dict[str, Any]

# (resource, Sid, action) -> why this action may have a wildcard
WILDCARD_ACTIONS = {
    (key, "EnableAccountPolicies", "kms:*"): (
        "a key that its own account may not manage can be managed by nobody and never be deleted"
    )
    for key in ("FailuresKey", "AlarmsKey")
}

# Actions without resource-level permissions; their statements can only say "*".
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html, and
# https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html for the delivery of logs
WITHOUT_RESOURCES = {
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}

STATES_ARN = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}"
# (Sid, resource) -> why this resource may have a wildcard
WILDCARD_RESOURCES = {
    ("ReadPictures", "${PicturesBucket.Arn}/*"): "a picture may have any key",
    ("ReadPicturesByReference", "${PicturesBucket.Arn}/*"): "a picture may have any key",
    ("WriteResults", "${PicturesBucket.Arn}/batches/*"): (
        "Step Functions names the files of each Map Run, below this prefix"
    ),
    ("DescribeAndStopChildren", STATES_ARN + ":execution:${MyBatchStateMachine.Name}:*"): (
        "the batch's own executions, whose names are given when they start"
    ),
    ("DescribeAndStopChildren", STATES_ARN + ":execution:${MyBatchStateMachine.Name}/*"): (
        "the children of the batch's executions, which Step Functions names"
    ),
    ("DescribeMapRun", STATES_ARN + ":mapRun:${MyBatchStateMachine.Name}/*"): (
        "the Map Runs of the batch, which Step Functions names"
    ),
}

# (resource, Sid) -> why a service is admitted without a condition on the source.
# https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html: conditions on aws:SourceAccount
# and aws:SourceArn are "not supported for EventBridge-to-encrypted topics", and
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-troubleshooting.html: a topic's policy
# cannot have them for EventBridge either. With one, messages are dropped without an error.
UNCONDITIONAL_SERVICES = {
    ("FailureTopicPolicy", "AllowPublishFromRule"): (
        "another account's rule could at most report a failure that did not happen"
    ),
    ("FailuresKey", "AllowUseByEventBridge"): (
        "the key is useful only to who may publish to the topic that is encrypted with it"
    ),
}


def of_type(template: Template, kind: str) -> dict[str, dict[str, Any]]:
    """Return the properties of each resource of a type, by logical id."""
    return {
        name: resource.get("Properties", {})
        for name, resource in template["Resources"].items()
        if resource["Type"] == kind
    }


def listed(value: Any) -> list[Any]:
    """Return a list unchanged and anything else as a list of one."""
    return value if isinstance(value, list) else [value]


def text(value: Any) -> str:
    """Return the text of a string or an Fn::Sub, otherwise JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and set(value) == {"Fn::Sub"}:
        return str(value["Fn::Sub"])
    return json.dumps(value)


def statements(template: Template) -> Iterator[tuple[str, Statement]]:
    """Yield each statement that grants or denies something, with its resource's logical id."""
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        documents = [p["PolicyDocument"] for p in properties.get("Policies", [])]
        documents += [properties[k] for k in ("PolicyDocument", "KeyPolicy") if k in properties]
        for document in documents:
            for statement in listed(document["Statement"]):
                yield name, statement


def trusts(template: Template) -> Iterator[tuple[str, Statement]]:
    """Yield each trust statement, with its role's logical id."""
    for name, role in of_type(template, "AWS::IAM::Role").items():
        for statement in listed(role["AssumeRolePolicyDocument"]["Statement"]):
            yield name, statement


def allowed(template: Template) -> Iterator[tuple[str, Statement]]:
    """Yield each statement that grants something."""
    return ((n, s) for n, s in statements(template) if s["Effect"] == "Allow")


def wildcard_actions(template: Template) -> list[str]:
    """Grants of actions by wildcard, by exclusion, or by a policy that is not in the template."""
    found, used = [], set()
    for name, statement in allowed(template):
        sid = statement.get("Sid", "")
        if "NotAction" in statement:
            found.append(f"{name} {sid}: NotAction grants all others")
        for action in listed(statement.get("Action", [])):
            if (name, sid, action) in WILDCARD_ACTIONS:
                used.add((name, sid, action))
            elif "*" in action:
                found.append(f"{name} {sid}: {action}")
    for name, role in of_type(template, "AWS::IAM::Role").items():
        found += [f"{name}: managed policy {text(p)}" for p in role.get("ManagedPolicyArns", [])]
    return found + [f"{entry} is an unused exception" for entry in set(WILDCARD_ACTIONS) - used]


def wildcard_resources(template: Template) -> list[str]:
    """Grants on resources by wildcard or by exclusion. In a key's own policy "*" is that key."""
    found, used = [], set()
    keys = set(of_type(template, "AWS::KMS::Key"))
    for name, statement in allowed(template):
        sid = statement.get("Sid", "")
        if "NotResource" in statement:
            found.append(f"{name} {sid}: NotResource grants all others")
        for resource in map(text, listed(statement.get("Resource", []))):
            if (sid, resource) in WILDCARD_RESOURCES:
                used.add((sid, resource))
            elif resource == "*":
                if name not in keys and not set(listed(statement["Action"])) <= WITHOUT_RESOURCES:
                    found.append(f"{name} {sid}: {statement['Action']} on *")
            elif "*" in resource:
                found.append(f"{name} {sid}: {resource}")
    return found + [f"{entry} is an unused exception" for entry in set(WILDCARD_RESOURCES) - used]


def untrusted_principals(template: Template) -> list[str]:
    """Grants and trust for everybody, for another account, or for a service without a condition on the source."""
    found, used = [], set()
    root = "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"
    for name, statement in [*allowed(template), *trusts(template)]:
        if "NotPrincipal" in statement:
            found.append(f"{name} {statement.get('Sid', '')}: NotPrincipal admits all others")
        principal = statement.get("Principal", {})
        if not isinstance(principal, dict) or set(principal) - {"AWS", "Service"}:
            found.append(f"{name} {statement.get('Sid', '')}: admits {principal}")
            continue
        found += [
            f"{name} {statement.get('Sid', '')}: admits {text(who)}"
            for who in listed(principal.get("AWS", []))
            if text(who) != root
        ]
        if principal.get("Service") and not _bound_to_the_stack(statement):
            entry = (name, statement.get("Sid", ""))
            if entry in UNCONDITIONAL_SERVICES:
                used.add(entry)
            else:
                found.append(f"{name} {entry[1]}: {text(principal['Service'])} without a condition on the source")
    return found + [f"{entry} is an unused exception" for entry in set(UNCONDITIONAL_SERVICES) - used]


def _bound_to_the_stack(statement: Statement) -> bool:
    """Tell whether a service must act for this account or for one resource of the stack."""
    condition = statement.get("Condition", {})
    account = condition.get("StringEquals", {}).get("aws:SourceAccount")
    source = condition.get("ArnEquals", {}).get("aws:SourceArn")
    return account == {"Ref": "AWS::AccountId"} or (isinstance(source, dict) and set(source) <= {"Fn::GetAtt", "Ref"})


def eventbridge_conditions(template: Template) -> list[str]:
    """Topics and keys with a condition on EventBridge, which fulfils none (see UNCONDITIONAL_SERVICES)."""
    candidates = {*of_type(template, "AWS::SNS::TopicPolicy"), *of_type(template, "AWS::KMS::Key")}
    return [
        f"{name} {statement.get('Sid', '')}: EventBridge fulfils no condition"
        for name, statement in allowed(template)
        if name in candidates
        and "events.amazonaws.com" in listed(statement["Principal"].get("Service", []))
        and "Condition" in statement
    ]


def missing_tls_policies(template: Template) -> list[str]:
    """Buckets, queues and topics whose policy does not deny every request without TLS."""
    found = []
    for kind, policy, names, action in [
        ("AWS::S3::Bucket", "AWS::S3::BucketPolicy", "Bucket", "s3:*"),
        ("AWS::SQS::Queue", "AWS::SQS::QueuePolicy", "Queues", "sqs:*"),
        # SNS refuses wildcards in a topic's policy; Publish is the one call that carries a message.
        ("AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "Topics", "sns:Publish"),
    ]:
        policies = of_type(template, policy).values()
        for name in of_type(template, kind):
            whole = [{"Fn::GetAtt": [name, "Arn"]}, {"Ref": name}]
            needed = [{"Fn::Sub": f"${{{name}.Arn}}/*"}] if kind == "AWS::S3::Bucket" else []
            if not any(
                _denies_plain_http(statement, action)
                and any(arn in listed(statement["Resource"]) for arn in whole)
                and all(arn in listed(statement["Resource"]) for arn in needed)
                for properties in policies
                if {"Ref": name} in listed(properties[names])
                for statement in listed(properties["PolicyDocument"]["Statement"])
            ):
                found.append(f"{name} can be used without TLS")
    return found


def _denies_plain_http(statement: Statement, action: str) -> bool:
    return (
        statement["Effect"] == "Deny"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and action in listed(statement["Action"])
        and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
    )


def resources_without_own_encryption(template: Template) -> list[str]:
    """Buckets and queues that do not ask for encryption, and topics without a key of the stack."""
    found = []
    for name, bucket in of_type(template, "AWS::S3::Bucket").items():
        if "ServerSideEncryptionConfiguration" not in bucket.get("BucketEncryption", {}):
            found.append(f"{name} is not encrypted")
    for name, queue in of_type(template, "AWS::SQS::Queue").items():
        if queue.get("SqsManagedSseEnabled") is not True and not queue.get("KmsMasterKeyId"):
            found.append(f"{name} is not encrypted")
    keys = [{"Ref": key} for key in of_type(template, "AWS::KMS::Key")]
    for name, topic in of_type(template, "AWS::SNS::Topic").items():
        if topic.get("KmsMasterKeyId") not in keys:  # with AWS's own key neither alarms nor rules could publish
            found.append(f"{name} is not encrypted with a key of the stack")
    return found


def missing_dead_letter_queues(template: Template) -> list[str]:
    """Targets of rules without a dead-letter queue that the rule may write to."""
    found = []
    for name, rule in of_type(template, "AWS::Events::Rule").items():
        for target in rule["Targets"]:
            queue = target.get("DeadLetterConfig", {}).get("Arn", {}).get("Fn::GetAtt", [""])[0]
            if queue not in of_type(template, "AWS::SQS::Queue"):
                found.append(f"{name} -> {target['Id']} has no dead-letter queue")
            elif not any(
                {"Ref": queue} in listed(policy["Queues"])
                and statement["Effect"] == "Allow"
                and statement["Principal"] == {"Service": "events.amazonaws.com"}
                and "sqs:SendMessage" in listed(statement["Action"])
                and statement["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": [name, "Arn"]}}}
                for policy in of_type(template, "AWS::SQS::QueuePolicy").values()
                for statement in listed(policy["PolicyDocument"]["Statement"])
            ):
                found.append(f"{name} may not write into its dead-letter queue {queue}")
    return found
