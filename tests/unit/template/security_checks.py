"""What a template must not do, as functions of a template that return what they object to.

They read the template as CloudFormation gets it, after the SAM transform, with its intrinsic
functions still in place. Things are found by their type, never by their name, so that a new queue
is held to the same as the old ones. What a check lets pass is listed here with the reason, and an
entry that nothing needs any more is itself objected to.
"""

import json
from collections.abc import Iterator
from typing import Any

Template = dict[str, Any]
Statement = dict[str, Any]

# (resource, Sid, action) -> why this action may have a wildcard
WILDCARD_ACTIONS = {
    (key, "EnableAccountPolicies", "kms:*"): (
        "a key that its own account may not manage can be managed by nobody, and never deleted"
    )
    for key in ("FailuresKey", "AlarmsKey")
}

# Actions that AWS defines for no resource in particular; their statements can only say "*".
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html, and
# https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html for the delivery of logs
KNOW_NO_RESOURCES = {
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

# (resource, Sid) -> why a service is let in without saying for whom.
# https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html: conditions on aws:SourceAccount
# and aws:SourceArn are "not supported for EventBridge-to-encrypted topics", and
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-troubleshooting.html: a topic's policy
# cannot have them for EventBridge either. With one, messages are dropped without an error.
SAY_NOT_FOR_WHOM = {
    ("FailureTopicPolicy", "AllowPublishFromRule"): (
        "a rule of a stranger could at most tell of a failure that there was not"
    ),
    ("FailuresKey", "AllowUseByEventBridge"): (
        "the key is of use only to who may publish on what is encrypted with it: the topic"
    ),
}

# What AWS encrypts whether asked or not, and why a key of one's own is left out
ENCRYPTED_BY_AWS = {
    "AWS::Logs::LogGroup": (
        "CloudWatch Logs encrypts all it keeps. A key of one's own costs a dollar a month and a"
        " call for each batch of lines, to protect lines that never hold a picture"
    ),
}

# parameter -> why its default is better than none
DEFAULTS = {
    "ClassNames": "empty: this project's endpoint names its classes itself, and a wrong list fails",
    "LogRetentionDays": "30 days of logs; without a default they would be kept, and paid, for ever",
    "FunctionConcurrency": "a bound; without one a burst could take every function of the account",
    "NotificationEmail": "empty: nobody is written to unless asked; the queue keeps each failure",
}

# Types that these checks look at, or that hold nothing, let nobody in and log nothing.
KNOWN_TYPES = {
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::DynamoDB::Table",
    "AWS::Events::Rule",
    "AWS::IAM::Policy",
    "AWS::IAM::Role",
    "AWS::KMS::Key",
    "AWS::Lambda::Function",
    "AWS::Logs::LogGroup",
    "AWS::S3::Bucket",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy",
    "AWS::StepFunctions::StateMachine",
}

MOST_RETRIES = 12  # of one state and error; with the pauses in the ASL that is 7 minutes


# ------------------------------------------------------------------------ reading a template


def of_type(template: Template, kind: str) -> dict[str, dict[str, Any]]:
    """Return the properties of each resource of a type, by logical id."""
    return {
        name: resource.get("Properties", {})
        for name, resource in template["Resources"].items()
        if resource["Type"] == kind
    }


def listed(value: Any) -> list[Any]:
    """Return a list as it is and anything else as the only one of a list."""
    return value if isinstance(value, list) else [value]


def text(value: Any) -> str:
    """Return a resource as one would write it: the text of an Fn::Sub, or JSON."""
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
    """Yield each statement that says who may assume a role."""
    for name, role in of_type(template, "AWS::IAM::Role").items():
        for statement in listed(role["AssumeRolePolicyDocument"]["Statement"]):
            yield name, statement


def allowed(template: Template) -> Iterator[tuple[str, Statement]]:
    """Yield each statement that grants something."""
    return ((n, s) for n, s in statements(template) if s["Effect"] == "Allow")


def all_states(definition: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each state of a definition by name, those inside Map and Parallel too."""
    for name, state in definition["States"].items():
        yield name, state
        inner = [state[k] for k in ("ItemProcessor", "Iterator") if k in state]
        for branch in inner + state.get("Branches", []):
            yield from all_states(branch)


# -------------------------------------------------------------------------------- the checks


def wildcard_actions(template: Template) -> list[str]:
    """Grants of actions by wildcard, by exclusion, or by a policy that is not in the template."""
    found, used = [], set()
    for name, statement in allowed(template):
        sid = statement.get("Sid", "")
        if "NotAction" in statement:
            found.append(f"{name} {sid}: NotAction grants all the rest")
        for action in listed(statement.get("Action", [])):
            if (name, sid, action) in WILDCARD_ACTIONS:
                used.add((name, sid, action))
            elif "*" in action:
                found.append(f"{name} {sid}: {action}")
    for name, role in of_type(template, "AWS::IAM::Role").items():
        found += [f"{name}: managed policy {text(p)}" for p in role.get("ManagedPolicyArns", [])]
    return found + [f"{entry} excuses nothing" for entry in set(WILDCARD_ACTIONS) - used]


def wildcard_resources(template: Template) -> list[str]:
    """Grants on resources by wildcard or by exclusion. In a key's own policy "*" is that key."""
    found, used = [], set()
    keys = set(of_type(template, "AWS::KMS::Key"))
    for name, statement in allowed(template):
        sid = statement.get("Sid", "")
        if "NotResource" in statement:
            found.append(f"{name} {sid}: NotResource grants all the rest")
        for resource in map(text, listed(statement.get("Resource", []))):
            if (sid, resource) in WILDCARD_RESOURCES:
                used.add((sid, resource))
            elif resource == "*":
                if name not in keys and not set(listed(statement["Action"])) <= KNOW_NO_RESOURCES:
                    found.append(f"{name} {sid}: {statement['Action']} on *")
            elif "*" in resource:
                found.append(f"{name} {sid}: {resource}")
    return found + [f"{entry} excuses nothing" for entry in set(WILDCARD_RESOURCES) - used]


def strangers_let_in(template: Template) -> list[str]:
    """Grants and trust for everybody, for another account, or for a service on anyone's behalf."""
    found, used = [], set()
    root = "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"
    for name, statement in [*allowed(template), *trusts(template)]:
        if "NotPrincipal" in statement:
            found.append(f"{name} {statement.get('Sid', '')}: NotPrincipal lets in all the rest")
        principal = statement.get("Principal", {})
        if not isinstance(principal, dict) or set(principal) - {"AWS", "Service"}:
            found.append(f"{name} {statement.get('Sid', '')}: lets in {principal}")
            continue
        found += [
            f"{name} {statement.get('Sid', '')}: lets in {text(who)}"
            for who in listed(principal.get("AWS", []))
            if text(who) != root
        ]
        if principal.get("Service") and not _bound_to_the_stack(statement):
            entry = (name, statement.get("Sid", ""))
            if entry in SAY_NOT_FOR_WHOM:
                used.add(entry)
            else:
                found.append(f"{name} {entry[1]}: {text(principal['Service'])} for anybody")
    return found + [f"{entry} excuses nothing" for entry in set(SAY_NOT_FOR_WHOM) - used]


def _bound_to_the_stack(statement: Statement) -> bool:
    """Tell whether a service must act for this account, or for one resource of the stack."""
    condition = statement.get("Condition", {})
    account = condition.get("StringEquals", {}).get("aws:SourceAccount")
    source = condition.get("ArnEquals", {}).get("aws:SourceArn")
    return account == {"Ref": "AWS::AccountId"} or (isinstance(source, dict) and set(source) <= {"Fn::GetAtt", "Ref"})


def events_that_are_refused(template: Template) -> list[str]:
    """Topics and keys that ask EventBridge for whom it publishes, which it never says."""
    silent = {*of_type(template, "AWS::SNS::TopicPolicy"), *of_type(template, "AWS::KMS::Key")}
    return [
        f"{name} {statement.get('Sid', '')}: EventBridge fulfils no condition"
        for name, statement in allowed(template)
        if name in silent
        and "events.amazonaws.com" in listed(statement["Principal"].get("Service", []))
        and "Condition" in statement
    ]


def open_to_plain_http(template: Template) -> list[str]:
    """Buckets, queues and topics whose policy does not refuse every request without TLS."""
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
                _refuses_plain_http(statement, action)
                and any(arn in listed(statement["Resource"]) for arn in whole)
                and all(arn in listed(statement["Resource"]) for arn in needed)
                for properties in policies
                if {"Ref": name} in listed(properties[names])
                for statement in listed(properties["PolicyDocument"]["Statement"])
            ):
                found.append(f"{name} can be used without TLS")
    return found


def _refuses_plain_http(statement: Statement, action: str) -> bool:
    return (
        statement["Effect"] == "Deny"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and action in listed(statement["Action"])
        and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
    )


def not_encrypted(template: Template) -> list[str]:
    """What is kept without encryption, or with a key that never changes."""
    found = []
    for name, bucket in of_type(template, "AWS::S3::Bucket").items():
        rules = bucket.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", [])
        kinds = [r.get("ServerSideEncryptionByDefault", {}).get("SSEAlgorithm") for r in rules]
        if not kinds or not set(kinds) <= {"AES256", "aws:kms", "aws:kms:dsse"}:
            found.append(f"{name} is not encrypted")
    for name, queue in of_type(template, "AWS::SQS::Queue").items():
        if queue.get("SqsManagedSseEnabled") is not True and not queue.get("KmsMasterKeyId"):
            found.append(f"{name} is not encrypted")
    for name, topic in of_type(template, "AWS::SNS::Topic").items():
        if topic.get("KmsMasterKeyId") not in [
            {"Ref": key} for key in of_type(template, "AWS::KMS::Key")
        ]:  # with AWS's own key neither alarms nor rules could publish
            found.append(f"{name} is not encrypted with a key of the stack")
    for name, table in of_type(template, "AWS::DynamoDB::Table").items():
        if table.get("SSESpecification", {}).get("SSEEnabled") is not True:
            found.append(f"{name} is not encrypted with a key that can be audited")
    for name, group in of_type(template, "AWS::Logs::LogGroup").items():
        if not group.get("KmsKeyId") and "AWS::Logs::LogGroup" not in ENCRYPTED_BY_AWS:
            found.append(f"{name} is not encrypted with a key of its own")
    for name, key in of_type(template, "AWS::KMS::Key").items():
        if key.get("EnableKeyRotation") is not True:
            found.append(f"{name} is never rotated")
    return found


def public_buckets(template: Template) -> list[str]:
    """Buckets that do not block public access in all four ways, or that use an ACL."""
    blocks = {"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"}
    return [
        f"{name} could become public"
        for name, bucket in of_type(template, "AWS::S3::Bucket").items()
        if "AccessControl" in bucket or bucket.get("PublicAccessBlockConfiguration") != dict.fromkeys(blocks, True)
    ]


def logs_without_an_end(template: Template) -> list[str]:
    """Log groups that are kept for ever, and what would log into one that AWS makes."""
    found = []
    groups = of_type(template, "AWS::Logs::LogGroup")
    taken: list[Any] = []
    for name, group in groups.items():
        if not group.get("RetentionInDays"):
            found.append(f"{name} is kept for ever")
    for name, function in of_type(template, "AWS::Lambda::Function").items():
        group = function.get("LoggingConfig", {}).get("LogGroup")
        if group not in [{"Ref": g} for g in groups]:
            found.append(f"{name} logs into a group that nobody limits")
        elif group in taken:
            found.append(f"{name} shares its log group with another function")
        taken.append(group)
    for name, machine in of_type(template, "AWS::StepFunctions::StateMachine").items():
        logging = machine.get("LoggingConfiguration", {})
        into = [
            destination.get("CloudWatchLogsLogGroup", {}).get("LogGroupArn")
            for destination in logging.get("Destinations", [])
        ]
        if logging.get("Level") not in {"ALL", "ERROR", "FATAL"} or not into:
            found.append(f"{name} does not log")
        if any(arn not in [{"Fn::GetAtt": [g, "Arn"]} for g in groups] for arn in into):
            found.append(f"{name} logs into a group that nobody limits")
        if logging.get("IncludeExecutionData") is not False:
            found.append(f"{name} logs its state, which holds the picture")
    return found


def unbounded_functions(template: Template) -> list[str]:
    """Functions that could take every call that the account may run at once."""
    found = []
    default = template["Parameters"].get("FunctionConcurrency", {}).get("Default", 0)
    if not int(default) > 0:
        found.append("FunctionConcurrency sets no bound by default")
    bound = {"Fn::If": ["BoundsFunctions", {"Ref": "FunctionConcurrency"}, {"Ref": "AWS::NoValue"}]}
    for name, function in of_type(template, "AWS::Lambda::Function").items():
        reserved = function.get("ReservedConcurrentExecutions")
        if reserved != bound and not isinstance(reserved, int):
            found.append(f"{name} may run any number of calls at once")
    return found


def unbounded_states(definition: dict[str, Any]) -> list[str]:
    """Maps without a bound on what runs at once, retries and tasks without an end."""
    found = []
    for name, state in all_states(definition):
        if state["Type"] == "Map" and not 0 < state.get("MaxConcurrency", 0) <= 1000:
            found.append(f"{name} runs any number of items at once")
        if state["Type"] == "Task" and not state.get("TimeoutSeconds"):
            found.append(f"{name} may take for ever")
        for rule in state.get("Retry", []):
            if not 0 < rule.get("MaxAttempts", 0) <= MOST_RETRIES:
                found.append(f"{name} retries {rule['ErrorEquals']} {rule.get('MaxAttempts')} times")
            if not rule.get("MaxDelaySeconds"):
                found.append(f"{name} waits any time before it retries {rule['ErrorEquals']}")
    return found


def events_that_can_get_lost(template: Template) -> list[str]:
    """Targets of rules without a queue that takes what could not be delivered."""
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


def careless_parameters(template: Template) -> list[str]:
    """Parameters with a default that nobody has argued for, or that take anything."""
    found = []
    parameters = template["Parameters"]
    for name, parameter in parameters.items():
        if "Default" in parameter and name not in DEFAULTS:
            found.append(f"{name} has the default {parameter['Default']!r}")
        bounds = {"MinValue", "MaxValue"} <= set(parameter)
        if not bounds and not {"AllowedPattern", "AllowedValues"} & set(parameter):
            found.append(f"{name} takes anything")
    unused = {name for name in DEFAULTS if "Default" not in parameters.get(name, {})}
    return found + [f"the default of {name} is argued for, and there is none" for name in unused]


def unknown_types(template: Template) -> list[str]:
    """Resources of a type that nobody has thought about here."""
    return [
        f"{name} is {resource['Type']}: say in KNOWN_TYPES and in the checks what must hold for it"
        for name, resource in template["Resources"].items()
        if resource["Type"] not in KNOWN_TYPES
    ]


TEMPLATE_CHECKS = [
    wildcard_actions,
    wildcard_resources,
    strangers_let_in,
    open_to_plain_http,
    not_encrypted,
    public_buckets,
    logs_without_an_end,
    unbounded_functions,
    events_that_are_refused,
    events_that_can_get_lost,
    careless_parameters,
    unknown_types,
]
