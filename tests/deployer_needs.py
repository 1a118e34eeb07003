"""The IAM actions that deploying and using the project needs, each with what needs it.

They come from the commands, from `sam`, from CloudFormation (which creates the stack's resources with its caller's
permissions) and from the `aws` commands in docs/.
"""

import json
from collections import defaultdict
from fnmatch import fnmatchcase
from importlib.resources import files

from botocore import xform_name
from samcli.lib.bootstrap.bootstrap import _get_stack_template

from common.settings import ROOT
from tests.aws_calls import Call, calls_of, methods, services_of
from tests.unit.docs.pages import PAGES
from tests.unit.docs.test_commands import shell_commands
from tests.unit.template.test_consistency import RESOURCES

# IAM's name for a service where it is not boto3's.
PREFIXES = {
    "sagemaker-runtime": "sagemaker",
    "service-quotas": "servicequotas",
    "stepfunctions": "states",
}

# Operations whose action has another name, or that need more than one. S3 from its table of "permissions for Amazon S3
# API operations", the others from the service authorization reference: tags in a request need the tagging action, a
# role in a request needs iam:PassRole.
ACTIONS = {
    Call("s3", "DeleteObjects"): ["s3:DeleteObject", "s3:DeleteObjectVersion"],
    Call("s3", "GetBucketEncryption"): ["s3:GetEncryptionConfiguration"],
    Call("s3", "GetObject"): ["s3:GetObject", "s3:GetObjectVersion"],  # pictures, by version
    Call("s3", "HeadBucket"): ["s3:ListBucket"],
    Call("s3", "HeadObject"): ["s3:GetObject", "s3:ListBucket"],  # without it, a missing object is a 403
    Call("s3", "ListObjectVersions"): ["s3:ListBucketVersions"],
    Call("s3", "ListObjectsV2"): ["s3:ListBucket"],
    Call("s3", "PutBucketEncryption"): ["s3:PutEncryptionConfiguration"],
    Call("s3", "PutObject"): ["s3:PutObject", "s3:AbortMultipartUpload"],  # of a large file
    Call("s3", "PutPublicAccessBlock"): ["s3:PutBucketPublicAccessBlock"],
    Call("sagemaker", "CreateTrainingJob"): [
        "sagemaker:CreateTrainingJob",
        "sagemaker:AddTags",
        "iam:PassRole",
    ],
    Call("sagemaker", "CreateModel"): [
        "sagemaker:CreateModel",
        "sagemaker:AddTags",
        "iam:PassRole",
    ],
    Call("sagemaker", "CreateEndpointConfig"): [
        "sagemaker:CreateEndpointConfig",
        "sagemaker:AddTags",
    ],
    Call("sagemaker", "CreateEndpoint"): ["sagemaker:CreateEndpoint", "sagemaker:AddTags"],
    Call("iam", "CreateRole"): ["iam:CreateRole", "iam:TagRole"],
    Call("cloudformation", "CreateChangeSet"): [
        "cloudformation:CreateChangeSet",
        "cloudformation:TagResource",
        "cloudformation:UntagResource",  # of a tag removed from samconfig.toml
    ],
    Call("sqs", "ChangeMessageVisibilityBatch"): ["sqs:ChangeMessageVisibility"],
    Call("sqs", "DeleteMessageBatch"): ["sqs:DeleteMessage"],
    Call("lambda", "Invoke"): ["lambda:InvokeFunction"],
    Call("sts", "GetCallerIdentity"): [],  # needs no permission
}

# What the SageMaker SDK calls for training/endpoint/training_job.py.
SDK = [
    Call("sagemaker", "CreateTrainingJob"),
    Call("sagemaker", "DescribeTrainingJob"),
    Call("s3", "HeadBucket"),
    Call("s3", "PutObject"),
]

# What the SAM CLI 1.167 calls for the `sam` commands of README.md and docs/, from its source (deploy, delete, list,
# package, logs, remote invoke). tests/notebook holds the calls that it really makes against the same policy.
SAM = {
    "cloudformation": [
        "CreateChangeSet",
        "DeleteStack",
        "DescribeChangeSet",
        "DescribeStackEvents",
        "DescribeStacks",
        "ExecuteChangeSet",
        "GetTemplate",
        "GetTemplateSummary",
        "ListChangeSets",
        "ListStackResources",
    ],
    "lambda": ["GetFunctionConfiguration", "GetFunctionUrlConfig", "Invoke"],
    "logs": ["DescribeLogStreams", "FilterLogEvents"],
    "s3": ["DeleteObject", "HeadObject", "ListObjectsV2", "PutObject"],
    "stepfunctions": ["DescribeExecution", "DescribeStateMachine", "StartExecution"],
}

# `aws` commands of docs/ that are for whoever administers the account.
ADMINISTRATORS = {"application-autoscaling", "iam"}

# CloudFormation's schema of each resource type, as cfn-lint ships it, lists the permissions of its handlers for every
# property. Listed here, by reason, are those of properties that neither the template nor the stack of SAM's bucket has;
# all others must be allowed.
UNUSED: dict[str, dict[str, list[str]]] = {
    "AWS::CloudWatch::Alarm": {},
    "AWS::CloudWatch::Dashboard": {},
    "AWS::DynamoDB::Table": {
        "no replicas": ["dynamodb:*TableReplica", "dynamodb:*Item", "dynamodb:Query", "dynamodb:Scan"],
        "no import": ["dynamodb:*Import*", "logs:*", "s3:*"],
        "no ContributorInsightsSpecification": ["dynamodb:UpdateContributorInsights"],
        "no KinesisStreamSpecification": [
            "dynamodb:*ableKinesisStreamingDestination",
            "dynamodb:UpdateKinesisStreamingDestination",
            "kinesis:*",
        ],
        "no ResourcePolicy": ["dynamodb:PutResourcePolicy", "dynamodb:DeleteResourcePolicy"],
        "no replicas, no ContributorInsightsSpecification": ["iam:CreateServiceLinkedRole"],
        "no customer managed key; whoever may use DynamoDB may use the AWS managed key": ["kms:*"],
    },
    "AWS::Events::Rule": {},
    "AWS::IAM::Policy": {
        "no Groups": ["iam:*GroupPolicy"],
        "no Users": ["iam:*UserPolicy"],
    },
    "AWS::IAM::Role": {
        "no ManagedPolicyArns": ["iam:AttachRolePolicy"],
        "no PermissionsBoundary": ["iam:*RolePermissionsBoundary"],
    },
    "AWS::KMS::Key": {
        "no Enabled: false": ["kms:DisableKey", "kms:EnableKey"],
        "EnableKeyRotation stays true": ["kms:DisableKeyRotation"],
    },
    "AWS::Lambda::Function": {
        "no VpcConfig": ["ec2:*"],
        "no FileSystemConfigs": ["elasticfilesystem:*", "s3files:*"],
        "no customer managed key": ["kms:*"],
        "no Layers": ["lambda:GetLayerVersion"],
        "no CodeSigningConfigArn": ["lambda:GetCodeSigningConfig", "lambda:*FunctionCodeSigningConfig"],
        "no CapacityProviderConfig": ["lambda:PassCapacityProvider"],
        "no FunctionScalingConfig": ["lambda:*FunctionScalingConfig"],
        "no RecursiveLoop": ["lambda:PutFunctionRecursionConfig"],
        "no RuntimeManagementConfig": ["lambda:PutRuntimeManagementConfig"],
        "no PublishToLatestPublished": ["lambda:PublishVersion"],
    },
    "AWS::Logs::LogGroup": {
        "no log group of the class DELIVERY": ["firehose:*", "s3:REST.PUT.OBJECT", "logs:CreateLogDelivery"],
        "no BearerTokenAuthenticationEnabled": ["logs:PutBearerTokenAuthentication"],
        "no DataProtectionPolicy": ["logs:PutDataProtectionPolicy"],
        "no FieldIndexPolicies": ["logs:*IndexPolicy"],
        "no customer managed key": ["logs:*ssociateKmsKey"],
        "no DeletionProtectionEnabled": ["logs:PutLogGroupDeletionProtection"],
        "no ResourcePolicyDocument": ["logs:PutResourcePolicy", "logs:DeleteResourcePolicy"],
    },
    "AWS::S3::Bucket": {
        "no ReplicationConfiguration": ["iam:PassRole", "s3:*BucketReplication", "s3:PutReplicationConfiguration"],
        "no MetadataTableConfiguration": ["s3:*BucketMetadata*", "s3tables:*"],
        "no AccelerateConfiguration": ["s3:PutAccelerateConfiguration"],
        "no AnalyticsConfigurations": ["s3:PutAnalyticsConfiguration", "s3:DeleteBucketAnalyticsConfiguration"],
        "no AbacStatus": ["s3:PutBucketAbac"],
        "no AccessControl": ["s3:PutBucketAcl", "s3:PutObjectAcl"],
        "no CorsConfiguration": ["s3:PutBucketCORS", "s3:DeleteBucketCors"],
        "no LoggingConfiguration": ["s3:PutBucketLogging"],
        "no OwnershipControls": ["s3:PutBucketOwnershipControls"],
        "no ObjectLockConfiguration": ["s3:Put*ObjectLockConfiguration"],
        "no WebsiteConfiguration": ["s3:*BucketWebsite"],
        "no IntelligentTieringConfigurations": ["s3:PutIntelligentTieringConfiguration"],
        "no InventoryConfigurations": ["s3:PutInventoryConfiguration"],
        "no MetricsConfigurations": ["s3:PutMetricsConfiguration", "s3:DeleteBucketMetricsConfiguration"],
        "BucketEncryption stays": ["s3:DeleteBucketEncryption"],
        "LifecycleConfiguration stays": ["s3:DeleteBucketLifecycle"],
    },
    "AWS::S3::BucketPolicy": {},
    "AWS::SNS::Subscription": {
        "no firehose, which alone takes a role": ["iam:*"],
    },
    "AWS::SNS::Topic": {
        "no DeliveryStatusLogging": ["iam:*"],
        "no DataProtectionPolicy": ["sns:PutDataProtectionPolicy"],
    },
    "AWS::SNS::TopicPolicy": {},
    "AWS::SQS::Queue": {},
    "AWS::SQS::QueuePolicy": {},
    "AWS::StepFunctions::StateMachine": {
        "no customer managed key": ["kms:*"],
    },
}
# Handlers read every property, used or not.
READ_ANYWAY = {"AWS::S3::Bucket": "s3:Get*", "AWS::Lambda::Function": "lambda:GetFunction*"}
# Actions that a schema spells wrongly, or that IAM does not have.
MISSPELLED = {
    "S3:GetBucketWebsite": "s3:GetBucketWebsite",
    "s3:DeleteBucketTagging": "s3:PutBucketTagging",
}
# What SAM makes of its own types.
TRANSFORMED = {
    "AWS::Serverless::Function": "AWS::Lambda::Function",
    "AWS::Serverless::StateMachine": "AWS::StepFunctions::StateMachine",
}


class UnknownResourceTypeError(AssertionError):
    """The template has a resource type that UNUSED does not list."""


def needed() -> dict[str, list[str]]:
    """Return `{action: what needs it}`."""
    needs: dict[str, list[str]] = defaultdict(list)
    sam = [(Call(service, operation), "sam") for service, operations in SAM.items() for operation in operations]
    for call, place in (*script_calls(), *sam, *documented_calls()):
        for action in actions_of(call):
            needs[action].append(place)
    for kind in sorted(resource_types() & set(UNUSED)):
        for action in handler_actions(kind):
            needs[action].append(f"CloudFormation, {kind}")
    return dict(needs)


def actions_of(call: Call) -> list[str]:
    """Return the actions that IAM demands for an operation."""
    if call in ACTIONS:
        return ACTIONS[call]
    return [f"{PREFIXES.get(call.service, call.service)}:{call.operation}"]


def script_calls() -> list[tuple[Call, str]]:
    """Return what the commands call, with the place in the source."""
    sources = [
        path
        for folder in ("common", "training", "operations")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "container" not in path.parts  # runs with SageMaker's role
    ]
    services = services_of(sources)
    found = [(call, f"{path.relative_to(ROOT)}:{line}") for path in sources for call, line in calls_of(path, services)]
    return found + [(call, "the SageMaker SDK") for call in SDK]


def documented_calls() -> list[tuple[Call, str]]:
    """Return what the `aws` commands in docs/ call, except the administrators'."""
    found = []
    for command in sorted({command for page in PAGES for command in shell_commands(page.read_text())}):
        if not command.startswith("aws "):
            continue
        _, service, name, *_ = command.split()
        if service not in ADMINISTRATORS:
            service = service.removesuffix("api")
            operation = methods(service)[xform_name(name).replace("-", "_")]
            found.append((Call(service, operation), f"docs: {command[:60]}"))
    return found


def resource_types() -> set[str]:
    """Return the resource types of the template and of the stack of SAM's bucket."""
    kinds = {resource["Type"] for resource in RESOURCES.values()}
    kinds |= {r["Type"] for r in json.loads(_get_stack_template())["Resources"].values()}
    return {TRANSFORMED.get(kind, kind) for kind in kinds}


def handler_actions(kind: str) -> set[str]:
    """Return the actions of CloudFormation's handlers for a resource type.

    Raises:
        UnknownResourceTypeError: UNUSED does not list the type.
    """
    if kind not in UNUSED:
        raise UnknownResourceTypeError(f"{kind}: list in UNUSED which of its permissions are not needed")
    return {action for action in schema_actions(kind) if not is_left_out(kind, action)}


def is_left_out(kind: str, action: str) -> bool:
    """Tell whether an action serves only properties that are not used."""
    if fnmatchcase(action, READ_ANYWAY.get(kind, "")):
        return False
    return any(fnmatchcase(action, pattern) for patterns in UNUSED[kind].values() for pattern in patterns)


def schema_actions(kind: str) -> set[str]:
    """Return the permissions in a type's schema, for its handlers and its tags."""
    index = json.loads(files("cfnlint.data.schemas.providers").joinpath("us-east-1.json").read_text())
    folder = files("cfnlint.data.schemas.resources")
    schema = json.loads(folder.joinpath(f"{index[kind]}.json").read_text())
    handlers = schema.get("handlers", {})
    listed = {a for name in handlers if name != "list" for a in handlers[name]["permissions"]}
    listed |= set(schema.get("tagging", {}).get("permissions", []))
    return {MISSPELLED.get(action, action) for action in listed}
