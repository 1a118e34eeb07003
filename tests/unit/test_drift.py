"""Template, ASL, folders, events and tests say the same thing.

`sam validate --lint` and CloudFormation accept a dangling `Next`, an unreachable state and a
placeholder that nobody supplies; they would show only when a picture takes that path.
"""

import ast
import base64
import importlib
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from samcli.yamlhelper import yaml_parse

ROOT = Path(__file__).parents[2]
TEMPLATE: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text())
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
ASL_TEXT = (ROOT / "statemachine/MyStateMachine.asl.json").read_text()
ASL: dict[str, Any] = json.loads(ASL_TEXT)
STATES: dict[str, Any] = ASL["States"]
TASKS = {name: state for name, state in STATES.items() if state["Type"] == "Task"}
FOLDERS = sorted(folder.name for folder in (ROOT / "functions").iterdir() if folder.is_dir())
EVENTS = sorted((ROOT / "events").glob("*.json"))

# https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html
LAMBDA_TRANSIENT = {
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
}


def spelt(folder: str) -> tuple[str, str]:
    """`filter_low_confidence` -> logical id of the function, name of the state."""
    words = folder.split("_")
    return "".join(w.title() for w in words) + "Function", " ".join(w.title() for w in words)


def module(folder: str) -> Any:
    return importlib.import_module(f"functions.{folder}.app")


def errors(folder: str) -> set[str]:
    tree = ast.parse((ROOT / "functions" / folder / "app.py").read_text())
    return {n.name for n in tree.body if isinstance(n, ast.ClassDef) and n.name.endswith("Error")}


def targets(state: dict[str, Any]) -> set[str]:
    """Return the names of the states that this one can go to."""
    rules = [state, *state.get("Catch", []), *state.get("Choices", [])]
    found = {rule["Next"] for rule in rules if "Next" in rule}
    return found | ({state["Default"]} if "Default" in state else set())


def test_there_are_the_three_functions():
    assert FOLDERS == ["filter_low_confidence", "image_classification", "serialize_image_data"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_one_name_has_five_spellings(folder):
    function, state = spelt(folder)
    assert RESOURCES[function]["Properties"]["CodeUri"] == f"functions/{folder}/"
    assert STATES[state]["Arguments"]["FunctionName"] == f"${{{function}Arn}}"
    assert (ROOT / "tests/unit" / f"test_{folder}.py").is_file()
    assert (ROOT / "functions" / folder / "app.py").is_file()


def test_every_function_of_the_template_has_a_folder():
    functions = {n for n, r in RESOURCES.items() if r["Type"] == "AWS::Serverless::Function"}
    assert functions == {spelt(folder)[0] for folder in FOLDERS}


def test_every_placeholder_is_supplied_and_every_supplied_value_is_used():
    substitutions = RESOURCES["MyStateMachine"]["Properties"]["DefinitionSubstitutions"]
    assert set(re.findall(r"\$\{(\w+)\}", ASL_TEXT)) == set(substitutions)


@pytest.mark.parametrize("name", STATES)
def test_every_state_is_reachable_goes_somewhere_that_exists_and_says_what_it_is_for(name):
    state = STATES[name]
    assert targets(state) <= set(STATES)
    assert targets(state) or state.get("End") or state["Type"] in {"Fail", "Succeed"}
    assert state["Comment"]
    reachable, frontier = {ASL["StartAt"]}, [ASL["StartAt"]]
    while frontier:
        new = targets(STATES[frontier.pop()]) - reachable
        reachable |= new
        frontier += new
    assert name in reachable


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_a_timeout_and_retries_only_what_passes(name):
    task = TASKS[name]
    assert 0 < task["TimeoutSeconds"] <= 120
    assert task["Retry"]
    for rule in task["Retry"]:
        assert not {"States.ALL", "States.TaskFailed"} & set(rule["ErrorEquals"])
        assert rule["BackoffRate"] == 2
        assert rule["JitterStrategy"] == "FULL"
        assert 0 < rule["MaxAttempts"] <= 8
        assert 0 < rule["IntervalSeconds"] <= rule["MaxDelaySeconds"] <= 60


@pytest.mark.parametrize("name", TASKS)
def test_whatever_goes_wrong_is_told_and_ends_as_a_failure(name):
    [catch] = TASKS[name]["Catch"]
    assert catch["ErrorEquals"] == ["States.ALL"]
    assert "image_data" not in catch["Output"]
    assert catch["Next"] == ("Workflow Failed" if name == "Notify Failure" else "Notify Failure")


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_errors_that_are_retried_are_ones_that_the_function_raises(folder):
    retried = {n for rule in STATES[spelt(folder)[1]]["Retry"] for n in rule["ErrorEquals"]}
    assert retried >= LAMBDA_TRANSIENT
    assert retried - LAMBDA_TRANSIENT <= errors(folder)
    transient = {n for n in errors(folder) if "Busy" in n or "Unavailable" in n}
    assert transient <= retried


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_error_says_in_its_docstring_what_it_means(folder):
    assert errors(folder)
    for name in errors(folder):
        assert getattr(module(folder), name).__doc__


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_client_gives_up_before_the_function_and_the_function_before_the_state(folder):
    function, state = spelt(folder)
    clients = [value for value in vars(module(folder)).values() if hasattr(value, "meta")]
    worst = sum(seconds_at_worst(client.meta.config) for client in clients)
    timeout = RESOURCES[function]["Properties"]["Timeout"]
    assert worst < timeout < STATES[state]["TimeoutSeconds"]


def seconds_at_worst(config: Any) -> float:
    """Return how long one call may take: every attempt timing out, with the pauses between."""
    attempts = config.retries["total_max_attempts"]
    pauses = sum(2**n for n in range(attempts - 1))  # standard mode: up to 2**n s after try n
    return float(attempts * (config.connect_timeout + config.read_timeout) + pauses)


def test_only_an_accepted_answer_is_recorded():
    choice = STATES["Is Accepted"]
    [rule] = choice["Choices"]
    assert rule == {"Condition": "{% $states.input.accepted = true %}", "Next": "Record Prediction"}
    assert choice["Default"] == "Send To Review"
    assert [n for n, s in STATES.items() if "Record Prediction" in targets(s)] == ["Is Accepted"]
    assert [n for n, s in STATES.items() if s.get("End") or s["Type"] == "Succeed"] == [
        "Record Prediction"
    ]


def test_a_doubtful_picture_is_queued_before_the_execution_fails():
    fail = STATES["Threshold Confidence Not Met"]
    assert fail["Error"] == "THRESHOLD_CONFIDENCE_NOT_MET"
    before = [n for n, s in STATES.items() if "Threshold Confidence Not Met" in targets(s)]
    assert before == ["Send To Review"]


def test_the_endpoint_and_the_threshold_reach_the_workflow_as_parameters_only():
    substitutions = RESOURCES["MyStateMachine"]["Properties"]["DefinitionSubstitutions"]
    assert substitutions["EndpointName"] == {"Ref": "EndpointName"}
    assert substitutions["ConfidenceThreshold"] == {"Ref": "ConfidenceThreshold"}
    threshold = TEMPLATE["Parameters"]["ConfidenceThreshold"]
    assert (threshold["Type"], threshold["MinValue"], threshold["MaxValue"]) == ("Number", 0, 1)
    assert "Default" not in threshold
    assert "Default" not in TEMPLATE["Parameters"]["EndpointName"]


def test_parameters_and_outputs_are_described():
    for section in ("Parameters", "Outputs"):
        for name, entry in TEMPLATE[section].items():
            assert entry["Description"].strip(), name


def test_samconfig_gives_parameters_that_exist():
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    given = config["default"]["deploy"]["parameters"]["parameter_overrides"]
    names = {pair.split("=")[0] for pair in given}
    required = {n for n, p in TEMPLATE["Parameters"].items() if "Default" not in p}
    assert required <= names <= set(TEMPLATE["Parameters"])


def test_the_laptop_is_deployed_with_the_same_settings_as_aws():
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    merged = {
        name: config[name]["global"]["parameters"] | config[name]["deploy"]["parameters"]
        for name in ("default", "local")
    }
    assert merged["local"] == merged["default"] | {"region": "us-east-1"}


def test_every_function_and_the_workflow_have_events_and_every_event_has_one_of_them():
    owners = {event.stem.split("-")[0] for event in EVENTS}
    assert owners == {*FOLDERS, "my_state_machine"}


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.stem)
def test_an_event_asks_the_endpoint_that_samconfig_deploys(event):
    given = json.loads(event.read_text())
    assert isinstance(given, dict)
    if "endpoint_name" in given and "endpoint-missing" not in event.stem:
        assert f"EndpointName={given['endpoint_name']}" in (ROOT / "samconfig.toml").read_text()


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_function_is_tested_with_the_packages_that_it_is_built_with(folder):
    locked = (ROOT / "requirements.txt").read_text().splitlines()
    for line in (ROOT / "functions" / folder / "requirements.txt").read_text().splitlines():
        assert line in locked


def test_the_incoming_bucket_is_versioned_private_encrypted_and_tells_eventbridge():
    # MiniStack drops encryption silently, so the template itself is looked at.
    bucket = RESOURCES["PicturesBucket"]["Properties"]
    assert bucket["VersioningConfiguration"]["Status"] == "Enabled"
    assert all(bucket["PublicAccessBlockConfiguration"].values())
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    [rule] = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    events = bucket["NotificationConfiguration"]["EventBridgeConfiguration"]
    assert events["EventBridgeEnabled"] is True
    [statement] = RESOURCES["PicturesBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Deny", "s3:*")
    assert statement["Principal"] == "*"
    assert statement["Resource"] == [
        {"Fn::GetAtt": ["PicturesBucket", "Arn"]},
        {"Fn::Sub": "${PicturesBucket.Arn}/*"},
    ]
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


# https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html and X-Ray's list of actions
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


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_a_wildcard_resource_is_only_where_aws_knows_no_resources():
    roles = {n: r["Properties"] for n, r in RESOURCES.items() if r["Type"] == "AWS::IAM::Role"}
    assert len(roles) == len(FOLDERS) + 2
    for name, role in roles.items():
        assert "ManagedPolicyArns" not in role, name
        for policy in role["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                actions = set(listed(statement["Action"]))
                assert not any("*" in action for action in actions), name
                for resource in listed(statement["Resource"]):
                    text = json.dumps(resource)
                    objects = actions <= {"s3:GetObject", "s3:GetObjectVersion"}
                    if resource == "*":
                        assert actions <= KNOW_NO_RESOURCES, name
                    elif not (objects and text == '{"Fn::Sub": "${PicturesBucket.Arn}/*"}'):
                        assert "*" not in text, name


def test_every_log_group_is_kept_for_as_long_as_the_parameter_says():
    groups = [r for r in RESOURCES.values() if r["Type"] == "AWS::Logs::LogGroup"]
    assert len(groups) == len(FOLDERS) + 1
    for group in groups:
        assert group["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_function_writes_into_its_own_log_group_and_may_write_into_no_other(folder):
    function, _ = spelt(folder)
    name = function.removesuffix("Function")
    properties = RESOURCES[function]["Properties"]
    assert properties["LoggingConfig"]["LogGroup"] == {"Ref": f"{name}LogGroup"}
    assert properties["Role"] == {"Fn::GetAtt": [f"{name}Role", "Arn"]}
    group = RESOURCES[f"{name}LogGroup"]["Properties"]["LogGroupName"]["Fn::Sub"]
    assert group == f"/aws/lambda/${{AWS::StackName}}-{folder.replace('_', '-')}"
    statements = [
        statement
        for policy in RESOURCES[f"{name}Role"]["Properties"]["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        if any(action.startswith("logs:") for action in listed(statement["Action"]))
    ]
    assert [s["Resource"] for s in statements] == [{"Fn::GetAtt": [f"{name}LogGroup", "Arn"]}]


def test_an_upload_event_that_cannot_be_delivered_is_kept():
    [target] = RESOURCES["PictureUploadedRule"]["Properties"]["Targets"]
    queue = {"Fn::GetAtt": ["UndeliveredUploadsQueue", "Arn"]}
    assert target["DeadLetterConfig"]["Arn"] == queue
    policy = RESOURCES["UndeliveredUploadsQueuePolicy"]["Properties"]
    assert policy["Queues"] == [{"Ref": "UndeliveredUploadsQueue"}]
    [statement] = policy["PolicyDocument"]["Statement"]
    assert (statement["Action"], statement["Resource"]) == ("sqs:SendMessage", queue)


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.stem)
def test_a_picture_in_an_event_is_the_one_that_its_key_names(event):
    given = json.loads(event.read_text())
    if given.get("image_data") and "broken" not in event.stem:
        picture = ROOT / "events/pictures" / Path(given["s3_key"]).name
        assert base64.b64decode(given["image_data"]) == picture.read_bytes()
