"""What whoever deploys and uses this project asks of AWS, as IAM's actions.

Four asks: the commands in training/, `sam`, CloudFormation (which makes the stack's resources with
its caller's permissions), and the `aws` commands in docs/. Each need comes with who has it.
"""

import json
from collections import defaultdict
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path

import samcli
from botocore import xform_name
from samcli.lib.bootstrap.bootstrap import _get_stack_template

from common.settings import ROOT
from tests.aws_calls import Call, calls_of, methods, services_of
from tests.unit.docs.pages import PAGES
from tests.unit.docs.test_commands import shell_commands
from tests.unit.template.test_consistency import RESOURCES

SAM = Path(samcli.__file__).parent

# IAM's name for a service where it is not boto3's.
PREFIXES = {
    "sagemaker-runtime": "sagemaker",
    "service-quotas": "servicequotas",
    "stepfunctions": "states",
}

# Operations whose action is named otherwise, or that need more than one. S3 from its table of
# "permissions for Amazon S3 API operations", the others from the service authorization reference:
# tags in a request need the action that tags, a role in a request needs iam:PassRole.
ACTIONS = {
    Call("s3", "DeleteObjects"): ["s3:DeleteObject", "s3:DeleteObjectVersion"],
    Call("s3", "GetBucketEncryption"): ["s3:GetEncryptionConfiguration"],
    Call("s3", "GetObject"): ["s3:GetObject", "s3:GetObjectVersion"],  # pictures, by version
    Call("s3", "HeadBucket"): ["s3:ListBucket"],
    Call("s3", "HeadObject"): ["s3:GetObject", "s3:ListBucket"],  # without, a missing one is a 403
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
        "cloudformation:UntagResource",  # of a tag that is taken out of samconfig.toml
    ],
    Call("sqs", "ChangeMessageVisibilityBatch"): ["sqs:ChangeMessageVisibility"],
    Call("sqs", "DeleteMessageBatch"): ["sqs:DeleteMessage"],
    Call("lambda", "Invoke"): ["lambda:InvokeFunction"],
    Call("sts", "GetCallerIdentity"): [],  # nobody needs a permission to ask who they are
}

# What the SageMaker SDK calls for training/endpoint/training_job.py: it makes the job, reads it once, and
# puts the script's files next to it.
SDK = [
    Call("sagemaker", "CreateTrainingJob"),
    Call("sagemaker", "DescribeTrainingJob"),
    Call("s3", "HeadBucket"),
    Call("s3", "PutObject"),
]

# The SAM CLI's files behind the commands that README.md and docs/ name, with the service of their
# client, and what in them those commands do not reach.
SAM_FILES = {
    "lib/deploy/deployer.py": "cloudformation",
    "lib/utils/managed_cloudformation_stack.py": "cloudformation",
    "lib/delete/cfn_utils.py": "cloudformation",
    "lib/list/stack_outputs/stack_outputs_producer.py": "cloudformation",
    "lib/list/resources/resource_mapping_producer.py": "cloudformation",
    "lib/package/s3_uploader.py": "s3",
    "lib/remote_invoke/lambda_invoke_executors.py": "lambda",
    "lib/remote_invoke/stepfunctions_invoke_executors.py": "stepfunctions",
    "lib/observability/cw_logs/cw_log_puller.py": "logs",
    "lib/observability/cw_logs/cw_log_group_provider.py": "stepfunctions",
    "commands/logs/puller_factory.py": "logs",
}
SAM_UNREACHED = {
    Call("cloudformation", "CreateStack"): "sam sync",
    Call("cloudformation", "UpdateStack"): "sam sync, and sam pipeline bootstrap",
    Call("cloudformation", "RollbackStack"): "sam deploy --on-failure DELETE",
    Call("s3", "GetObjectTagging"): "applications of the Serverless Application Repository",
    Call("lambda", "InvokeWithResponseStream"): "functions with a URL that streams",
}
# What sam calls through boto3's resources and transfers, which its source does not name.
SAM_UNNAMED = [Call("cloudformation", "ListStackResources"), Call("s3", "PutObject")]

# `aws` commands of docs/ that are for whoever administers the account.
ADMINISTRATORS = {"application-autoscaling", "iam"}

# CloudFormation's own schema of each resource type, as cfn-lint ships it, lists what its handlers
# ask for, whatever the template says. What is not listed here must be allowed: permissions are
# left out where the template (and SAM's, of its bucket) has no property that would use them.
CUSTOM_KEY = "no key of one's own"
NOT_USED: dict[str, dict[str, str]] = {
    "AWS::CloudWatch::Alarm": {},
    "AWS::CloudWatch::Dashboard": {},
    "AWS::DynamoDB::Table": {
        "dynamodb:*TableReplica": "no replicas",
        "dynamodb:*Item": "no replicas",
        "dynamodb:Query": "no replicas",
        "dynamodb:Scan": "no replicas",
        "dynamodb:*Import*": "no import",
        "dynamodb:UpdateContributorInsights": "no ContributorInsightsSpecification",
        "dynamodb:*ableKinesisStreamingDestination": "no KinesisStreamSpecification",
        "dynamodb:UpdateKinesisStreamingDestination": "no KinesisStreamSpecification",
        "dynamodb:PutResourcePolicy": "no ResourcePolicy",
        "dynamodb:DeleteResourcePolicy": "no ResourcePolicy",
        "iam:CreateServiceLinkedRole": "no replicas, no ContributorInsightsSpecification",
        "kinesis:*": "no KinesisStreamSpecification",
        "kms:*": f"{CUSTOM_KEY}; that of AWS lets everybody through who may use DynamoDB",
        "logs:*": "no import",
        "s3:*": "no import",
    },
    "AWS::Events::Rule": {},
    "AWS::IAM::Policy": {"iam:*GroupPolicy": "no Groups", "iam:*UserPolicy": "no Users"},
    "AWS::IAM::Role": {
        "iam:AttachRolePolicy": "no ManagedPolicyArns",
        "iam:*RolePermissionsBoundary": "no PermissionsBoundary",
    },
    "AWS::KMS::Key": {
        "kms:DisableKey": "no Enabled: false",
        "kms:EnableKey": "no Enabled: false",
        "kms:DisableKeyRotation": "EnableKeyRotation stays true",
    },
    "AWS::Lambda::Function": {
        "ec2:*": "no VpcConfig",
        "elasticfilesystem:*": "no FileSystemConfigs",
        "s3files:*": "no FileSystemConfigs",
        "kms:*": CUSTOM_KEY,
        "lambda:GetLayerVersion": "no Layers",
        "lambda:GetCodeSigningConfig": "no CodeSigningConfigArn",
        "lambda:*FunctionCodeSigningConfig": "no CodeSigningConfigArn",
        "lambda:PassCapacityProvider": "no CapacityProviderConfig",
        "lambda:*FunctionScalingConfig": "no FunctionScalingConfig",
        "lambda:PutFunctionRecursionConfig": "no RecursiveLoop",
        "lambda:PutRuntimeManagementConfig": "no RuntimeManagementConfig",
        "lambda:PublishVersion": "no PublishToLatestPublished",
    },
    "AWS::Logs::LogGroup": {
        "firehose:*": "no log group of the class DELIVERY",
        "s3:REST.PUT.OBJECT": "no log group of the class DELIVERY",
        "logs:CreateLogDelivery": "no log group of the class DELIVERY",
        "logs:PutBearerTokenAuthentication": "no BearerTokenAuthenticationEnabled",
        "logs:PutDataProtectionPolicy": "no DataProtectionPolicy",
        "logs:*IndexPolicy": "no FieldIndexPolicies",
        "logs:*ssociateKmsKey": CUSTOM_KEY,
        "logs:PutLogGroupDeletionProtection": "no DeletionProtectionEnabled",
        "logs:PutResourcePolicy": "no ResourcePolicyDocument",
        "logs:DeleteResourcePolicy": "no ResourcePolicyDocument",
    },
    "AWS::S3::Bucket": {
        "iam:PassRole": "no ReplicationConfiguration",
        "s3:*BucketMetadata*": "no MetadataTableConfiguration",
        "s3tables:*": "no MetadataTableConfiguration",
        "s3:PutAccelerateConfiguration": "no AccelerateConfiguration",
        "s3:PutAnalyticsConfiguration": "no AnalyticsConfigurations",
        "s3:DeleteBucketAnalyticsConfiguration": "no AnalyticsConfigurations",
        "s3:PutBucketAbac": "no AbacStatus",
        "s3:PutBucketAcl": "no AccessControl",
        "s3:PutObjectAcl": "no AccessControl",
        "s3:PutBucketCORS": "no CorsConfiguration",
        "s3:DeleteBucketCors": "no CorsConfiguration",
        "s3:PutBucketLogging": "no LoggingConfiguration",
        "s3:PutBucketOwnershipControls": "no OwnershipControls",
        "s3:Put*ObjectLockConfiguration": "no ObjectLockConfiguration",
        "s3:*BucketReplication": "no ReplicationConfiguration",
        "s3:PutReplicationConfiguration": "no ReplicationConfiguration",
        "s3:*BucketWebsite": "no WebsiteConfiguration",
        "s3:PutIntelligentTieringConfiguration": "no IntelligentTieringConfigurations",
        "s3:PutInventoryConfiguration": "no InventoryConfigurations",
        "s3:PutMetricsConfiguration": "no MetricsConfigurations",
        "s3:DeleteBucketMetricsConfiguration": "no MetricsConfigurations",
        "s3:DeleteBucketEncryption": "BucketEncryption stays",
        "s3:DeleteBucketLifecycle": "LifecycleConfiguration stays",
    },
    "AWS::S3::BucketPolicy": {},
    "AWS::SNS::Subscription": {
        "iam:*": "no firehose, which alone takes a role",
    },
    "AWS::SNS::Topic": {
        "iam:*": "no DeliveryStatusLogging",
        "sns:PutDataProtectionPolicy": "no DataProtectionPolicy",
    },
    "AWS::SNS::TopicPolicy": {},
    "AWS::SQS::Queue": {},
    "AWS::SQS::QueuePolicy": {},
    "AWS::StepFunctions::StateMachine": {"kms:*": CUSTOM_KEY},
}
# Reading a bucket's website is not left out with writing it.
READ_ALL_THE_SAME = {"AWS::S3::Bucket": "s3:Get*", "AWS::Lambda::Function": "lambda:GetFunction*"}
# What a schema says that IAM spells another way, or has no action of its own for.
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
    """The template has a type of resource that nobody has looked at."""


def needed() -> dict[str, list[str]]:
    """Return `{action: who needs it}`, without types of resources that nobody has looked at."""
    needs: dict[str, list[str]] = defaultdict(list)
    for call, place in (*script_calls(), *sam_calls(), *documented_calls()):
        for action in actions_of(call):
            needs[action].append(place)
    for kind in sorted(resource_types() & set(NOT_USED)):
        for action in handler_actions(kind):
            needs[action].append(f"CloudFormation, {kind}")
    return dict(needs)


def actions_of(call: Call) -> list[str]:
    """Return what IAM asks for before it lets an operation through."""
    if call in ACTIONS:
        return ACTIONS[call]
    return [f"{PREFIXES.get(call.service, call.service)}:{call.operation}"]


def script_calls() -> list[tuple[Call, str]]:
    """Return what the commands in training/ call, with the place in the source."""
    sources = [
        path
        for folder in ("common", "training", "operations")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "container" not in path.parts  # runs with SageMaker's role
    ]
    services = services_of(sources)
    found = [(call, f"{path.relative_to(ROOT)}:{line}") for path in sources for call, line in calls_of(path, services)]
    return found + [(call, "the SageMaker SDK") for call in SDK]


def sam_calls() -> list[tuple[Call, str]]:
    """Return what the SAM CLI calls for the commands that README.md and docs/ name."""
    found = [
        (call, f"samcli/{file}:{line}")
        for file, service in SAM_FILES.items()
        for call, line in calls_of(SAM / file, [service])
        if call not in SAM_UNREACHED
    ]
    return found + [(call, "sam") for call in SAM_UNNAMED]


def documented_calls() -> list[tuple[Call, str]]:
    """Return what the `aws` commands in docs/ call."""
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
    """Return the types of resources that CloudFormation makes: of the template and of SAM's."""
    kinds = {resource["Type"] for resource in RESOURCES.values()}
    kinds |= {r["Type"] for r in json.loads(_get_stack_template())["Resources"].values()}
    return {TRANSFORMED.get(kind, kind) for kind in kinds}


def handler_actions(kind: str) -> set[str]:
    """Return what CloudFormation asks for to make, read, change and delete such a resource.

    Raises UnknownResourceTypeError for a type that is not in NOT_USED.
    """
    if kind not in NOT_USED:
        raise UnknownResourceTypeError(f"{kind}: see which of its permissions are needed")
    return {action for action in schema_actions(kind) if not is_left_out(kind, action)}


def is_left_out(kind: str, action: str) -> bool:
    """Tell whether the template has nothing that an action would be for."""
    if fnmatchcase(action, READ_ALL_THE_SAME.get(kind, "")):
        return False
    return any(fnmatchcase(action, pattern) for pattern in NOT_USED[kind])


def schema_actions(kind: str) -> set[str]:
    """Return what a type's schema lists for its handlers and its tags."""
    index = json.loads(files("cfnlint.data.schemas.providers").joinpath("us-east-1.json").read_text())
    folder = files("cfnlint.data.schemas.resources")
    schema = json.loads(folder.joinpath(f"{index[kind]}.json").read_text())
    handlers = schema.get("handlers", {})
    listed = {a for name in handlers if name != "list" for a in handlers[name]["permissions"]}
    listed |= set(schema.get("tagging", {}).get("permissions", []))
    return {MISSPELLED.get(action, action) for action in listed}
