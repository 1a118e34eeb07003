"""Template, state machines, folders, events and tests agree.

`sam validate --lint` and CloudFormation accept a dangling `Next`, an unreachable state and a missing substitution.
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

from common.settings import ROOT
from tests.unit.template.security_checks import listed, of_type, statements

TEMPLATE: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text())
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
ASL_TEXT = (ROOT / "statemachine/MyStateMachine.asl.json").read_text()
ASL: dict[str, Any] = json.loads(ASL_TEXT)
STATES: dict[str, Any] = ASL["States"]
TASKS = {name: state for name, state in STATES.items() if state["Type"] == "Task"}
BATCH_TEXT = (ROOT / "statemachine/MyBatchStateMachine.asl.json").read_text()
BATCH: dict[str, Any] = json.loads(BATCH_TEXT)
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


def logical_id_and_state(folder: str) -> tuple[str, str]:
    """Return the function's logical id and the state's name for a folder such as `filter_low_confidence`."""
    words = folder.split("_")
    return "".join(w.title() for w in words) + "Function", " ".join(w.title() for w in words)


def module(folder: str) -> Any:
    return importlib.import_module(f"functions.{folder}.app")


def errors(folder: str) -> set[str]:
    tree = ast.parse((ROOT / "functions" / folder / "app.py").read_text())
    return {n.name for n in tree.body if isinstance(n, ast.ClassDef) and n.name.endswith("Error")}


def machines(definition: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the definition and those of its Maps, each with StartAt and States."""
    inner = [s["ItemProcessor"] for s in definition["States"].values() if s["Type"] == "Map"]
    return [definition, *(machine for processor in inner for machine in machines(processor))]


BATCH_TASKS = {
    name: state for machine in machines(BATCH) for name, state in machine["States"].items() if state["Type"] == "Task"
}


def targets(state: dict[str, Any]) -> set[str]:
    """Return the names of the next states."""
    rules = [state, *state.get("Catch", []), *state.get("Choices", [])]
    found = {rule["Next"] for rule in rules if "Next" in rule}
    return found | ({state["Default"]} if "Default" in state else set())


def test_functions_are_the_three_of_the_workflow():
    assert FOLDERS == ["filter_low_confidence", "image_classification", "serialize_image_data"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_function_is_named_alike_in_folder_template_state_and_test(folder):
    function, state = logical_id_and_state(folder)
    assert RESOURCES[function]["Properties"]["CodeUri"] == f"functions/{folder}/"
    assert STATES[state]["Arguments"]["FunctionName"] == f"${{{function}Arn}}"
    assert (ROOT / "tests/unit/functions" / f"test_{folder}.py").is_file()
    assert (ROOT / "functions" / folder / "app.py").is_file()


def test_every_function_of_template_has_a_folder():
    functions = {n for n, r in RESOURCES.items() if r["Type"] == "AWS::Serverless::Function"}
    assert functions == {logical_id_and_state(folder)[0] for folder in FOLDERS}


@pytest.mark.parity("states-substitutions")
@pytest.mark.parametrize(
    ("machine", "text"),
    [
        ("MyStateMachine", ASL_TEXT),
        ("MyExpressStateMachine", ASL_TEXT),
        ("MyBatchStateMachine", BATCH_TEXT),
    ],
)
def test_definition_placeholders_equal_the_substitutions(machine, text):
    substitutions = RESOURCES[machine]["Properties"]["DefinitionSubstitutions"]
    assert set(re.findall(r"\$\{(\w+)\}", text)) == set(substitutions)


@pytest.mark.parity("states-substitutions")
def test_standard_and_express_machine_share_one_definition():
    standard, express = (dict(RESOURCES[name]["Properties"]) for name in ("MyStateMachine", "MyExpressStateMachine"))
    assert (express.pop("Type"), express.pop("Logging")["Level"]) == ("EXPRESS", "ERROR")
    standard.pop("Logging")
    assert express == standard


def test_both_machines_use_jsonata_only():
    assert ASL["QueryLanguage"] == BATCH["QueryLanguage"] == "JSONata"
    assert (ASL_TEXT + BATCH_TEXT).count("QueryLanguage") == 2


@pytest.mark.parity("states-definition")
@pytest.mark.parametrize("machine", [ASL, *machines(BATCH)], ids=["one", "batch", "child", "picture"])
def test_every_state_is_reachable_has_valid_targets_and_a_comment(machine):
    states = machine["States"]
    reachable, frontier = {machine["StartAt"]}, [machine["StartAt"]]
    while frontier:
        new = targets(states[frontier.pop()]) - reachable
        reachable |= new
        frontier += new
    assert reachable == set(states)
    for name, state in states.items():
        ends = state.get("End") or state["Type"] in {"Fail", "Succeed"}
        assert targets(state) or ends, name
        assert state["Comment"], name


@pytest.mark.parity("states-task-timeout", "states-retry", "states-retry-jitter")
@pytest.mark.parametrize("name", [*TASKS, *BATCH_TASKS])
def test_every_task_has_a_timeout_and_bounded_retries(name):
    task = TASKS.get(name) or BATCH_TASKS[name]
    assert 0 < task["TimeoutSeconds"] <= (240 if name == "Classify Picture" else 120)
    assert task["Retry"]
    for rule in task["Retry"]:
        assert not {"States.ALL", "States.TaskFailed"} & set(rule["ErrorEquals"])
        assert rule["BackoffRate"] == 2
        assert rule["JitterStrategy"] == "FULL"
        assert 0 < rule["MaxAttempts"] <= 12
        assert 0 < rule["IntervalSeconds"] <= rule["MaxDelaySeconds"] <= 60


@pytest.mark.parity("states-catch")
@pytest.mark.parametrize("name", TASKS)
def test_every_failure_sends_a_notification_and_ends_as_a_failure(name):
    *named, catch = TASKS[name]["Catch"]
    assert catch["ErrorEquals"] == ["States.ALL"]
    assert "image_data" not in catch["Output"]
    next_state = {
        "Notify Failure": "Workflow Failed Untold",
        "Send To Review": "Release Claim",  # and from there to Notify Failure
        "Confirm Review": "Threshold Confidence Not Met",  # the message is in the queue
    }
    assert catch["Next"] == next_state.get(name, "Notify Failure")
    assert [rule["ErrorEquals"] for rule in named] == (
        [["DynamoDB.ConditionalCheckFailedException"]] if name in {"Record Prediction", "Claim Review"} else []
    )


@pytest.mark.parity("states-uncaught", "states-status-events", "events-pattern")
def test_failure_rule_matches_executions_that_could_not_notify():
    cause = STATES["Workflow Failed Untold"]["Cause"]
    [prefix] = re.findall(r"'(NOBODY WAS TOLD: )'", cause)
    rule = RESOURCES["ExecutionFailedRule"]["Properties"]
    patterns = rule["EventPattern"]["detail"]["$or"]
    assert {"cause": [{"prefix": prefix}]}.items() <= patterns[2].items()
    assert patterns[1]["error"] == [{"prefix": "States."}]
    assert patterns[0]["status"] == ["TIMED_OUT", "ABORTED"]
    assert patterns[3] == {
        "stateMachineArn": [{"Ref": "MyBatchStateMachine"}],
        "status": ["FAILED", "TIMED_OUT", "ABORTED"],
    }
    notified = BATCH_TASKS["Classify Picture"]["Assign"]["notified"]
    assert prefix.strip(": ") in notified


def test_alarm_topic_has_a_key_of_its_own():
    keys = {RESOURCES[n]["Properties"]["KmsMasterKeyId"]["Ref"] for n in ("FailureTopic", "AlarmTopic")}
    assert keys == {"FailuresKey", "AlarmsKey"}


@pytest.mark.parity("states-inline-map", "lambda-concurrency", "states-item-batcher")
def test_batch_concurrency_stays_below_the_functions_limit():
    outer, inner = (
        next(s for s in machine["States"].values() if s["Type"] == "Map") for machine in machines(BATCH)[:2]
    )
    at_once = outer["MaxConcurrency"] * inner["MaxConcurrency"]
    assert outer["ItemBatcher"]["MaxItemsPerBatch"] == inner["MaxConcurrency"]
    assert min(outer["MaxConcurrency"], inner["MaxConcurrency"]) > 0  # 0 is no bound
    assert at_once < TEMPLATE["Parameters"]["FunctionConcurrency"]["Default"]
    # An inline Map runs at most 40 at once:
    # https://docs.aws.amazon.com/step-functions/latest/dg/state-map-inline.html
    assert inner["MaxConcurrency"] <= 40


@pytest.mark.parity("states-express-5-minutes")
def test_batch_child_can_notify_before_express_timeout():
    express_ends_after = 300  # seconds, https://docs.aws.amazon.com/step-functions/latest/dg/limits
    given_up = BATCH_TASKS["Classify Picture"]["TimeoutSeconds"]
    count = BATCH_TASKS["Count Outcomes"]["TimeoutSeconds"]
    assert given_up + at_worst(BATCH_TASKS["Notify Failure"]) + count < express_ends_after


@pytest.mark.parity("states-lambda-transient", "states-lambda-throttled")
@pytest.mark.parametrize("folder", FOLDERS)
def test_retried_errors_are_lambda_transient_or_raised_by_the_function(folder):
    retried = {n for rule in STATES[logical_id_and_state(folder)[1]]["Retry"] for n in rule["ErrorEquals"]}
    assert retried >= LAMBDA_TRANSIENT
    assert retried - LAMBDA_TRANSIENT <= errors(folder)
    transient = {n for n in errors(folder) if "Busy" in n or "Unavailable" in n}
    assert transient <= retried


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_error_class_has_a_docstring(folder):
    assert errors(folder)
    for name in errors(folder):
        assert getattr(module(folder), name).__doc__


@pytest.mark.parity("lambda-timeout", "states-task-timeout", "sdk-timeouts")
@pytest.mark.parametrize("folder", FOLDERS)
def test_client_times_out_before_function_and_function_before_state(folder):
    function, state = logical_id_and_state(folder)
    clients = [value for value in vars(module(folder)).values() if hasattr(value, "meta")]
    worst = sum(seconds_at_worst(client.meta.config) for client in clients)
    timeout = RESOURCES[function]["Properties"]["Timeout"]
    assert worst < timeout < STATES[state]["TimeoutSeconds"]


def seconds_at_worst(config: Any) -> float:
    """Return the seconds of one call whose attempts all time out, pauses included."""
    attempts = config.retries["total_max_attempts"]
    pauses = sum(2**n for n in range(attempts - 1))  # standard mode: up to 2**n s after try n
    return float(attempts * (config.connect_timeout + config.read_timeout) + pauses)


def test_only_accepted_answer_is_recorded():
    choice = STATES["Is Accepted"]
    [rule] = choice["Choices"]
    assert rule == {
        "Comment": rule["Comment"],
        "Condition": "{% $states.input.accepted = true %}",
        "Next": "Record Prediction",
    }
    assert choice["Default"] == "Claim Review"
    assert [n for n, s in STATES.items() if "Record Prediction" in targets(s)] == ["Is Accepted"]
    assert [n for n, s in STATES.items() if s.get("End") or s["Type"] == "Succeed"] == [
        "Record Prediction",
        "Already Decided",
    ]
    assert [n for n, s in STATES.items() if "Already Decided" in targets(s)] == ["Which Outcome"]


def test_item_of_a_picture_in_review_has_no_label():
    items = [STATES[name]["Arguments"]["Item"] for name in ("Record Prediction", "Claim Review")]
    assert [item["outcome"] for item in items] == [{"S": "accepted"}, {"S": "review"}]
    assert ["label" in item for item in items] == [True, False]


@pytest.mark.parity("dynamodb-conditional-write", "states-express-at-least-once")
def test_first_outcome_of_a_picture_is_kept():
    free = [STATES[name]["Arguments"]["ConditionExpression"] for name in ("Record Prediction", "Claim Review")]
    assert free == [
        "attribute_not_exists(picture) OR (execution_arn = :me AND outcome = :accepted)",
        "attribute_not_exists(picture) OR (outcome = :review"
        " AND (attribute_not_exists(queued) OR queued = :no)"
        " AND (execution_arn = :me OR attribute_not_exists(claimed_at) OR claimed_at < :stale))",
    ]


def test_claim_expires_after_its_execution_must_have_ended():
    [stale] = set(re.findall(r"EnteredTime\) - (\d+)\)", ASL_TEXT))
    [waited] = set(re.findall(r"claimed_at\.N\) : 0\) > (\d+)\)", ASL_TEXT))
    assert stale == waited
    names = ("Claim Review", "Send To Review", "Confirm Review")
    worst = sum(at_worst(STATES[name]) for name in names)
    assert worst < int(stale) / 1000


def at_worst(task: dict[str, Any]) -> float:
    """Return the seconds of a task whose attempts all time out, full pauses included."""
    tries, seconds = 1, 0.0
    for rule in task["Retry"]:
        tries += rule["MaxAttempts"]
        seconds += sum(min(rule["IntervalSeconds"] * 2**n, rule["MaxDelaySeconds"]) for n in range(rule["MaxAttempts"]))
    return seconds + tries * float(task["TimeoutSeconds"])


def test_picture_in_review_is_queued_before_the_execution_fails():
    fail = STATES["Threshold Confidence Not Met"]
    assert fail["Error"] == "THRESHOLD_CONFIDENCE_NOT_MET"
    before = [n for n, s in STATES.items() if "Threshold Confidence Not Met" in targets(s)]
    assert before == ["Confirm Review", "Which Outcome"]
    assert [n for n, s in STATES.items() if "Confirm Review" in targets(s)] == ["Send To Review"]
    [earlier] = [rule for rule in STATES["Which Outcome"]["Choices"] if rule["Next"] == "Threshold Confidence Not Met"]
    assert "$earlier.queued.BOOL = true" in earlier["Condition"]


def test_endpoint_and_threshold_are_parameters_without_default():
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


SAMCONFIG = (ROOT / "samconfig.toml").read_text()
# What docs/deploy-to-aws.md and docs/operations.md tell users to add to the deployment on AWS.
WITH_USERS_PARAMETERS = SAMCONFIG.replace(
    '"ConfidenceThreshold=', '"NotificationEmail=ops@example.com", "FunctionConcurrency=0", "ConfidenceThreshold=', 1
)
DEPLOYMENTS = pytest.mark.parametrize("samconfig", [SAMCONFIG, WITH_USERS_PARAMETERS], ids=["as shipped", "extended"])


def deployment(samconfig: str, name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the settings of `sam deploy` for a configuration environment, and its parameter overrides."""
    config = tomllib.loads(samconfig)[name]
    merged: dict[str, Any] = config["global"]["parameters"] | config["deploy"]["parameters"]
    return merged, dict(pair.split("=", 1) for pair in merged.pop("parameter_overrides"))


@pytest.mark.parity("sam-deploy")
@DEPLOYMENTS
def test_samconfig_parameters_exist_and_none_is_missing(samconfig):
    required = {n for n, p in TEMPLATE["Parameters"].items() if "Default" not in p}
    for name in ("default", "local"):
        _, parameters = deployment(samconfig, name)
        assert required <= set(parameters) <= set(TEMPLATE["Parameters"])


@DEPLOYMENTS
def test_laptop_is_deployed_with_the_settings_of_aws_except_for_users_own_parameters(samconfig):
    settings, parameters = deployment(samconfig, "default")
    on_laptop, laptop_parameters = deployment(samconfig, "local")
    assert on_laptop == settings | {"region": "us-east-1"}
    assert laptop_parameters.items() <= parameters.items()


def test_every_function_and_the_workflow_have_events_and_every_event_has_one_of_them():
    owners = {event.stem.split("-")[0] for event in EVENTS}
    assert owners == {*FOLDERS, "my_state_machine", "my_batch_state_machine"}


def test_events_name_one_endpoint_except_for_the_missing_one():
    given = {event.stem: json.loads(event.read_text()) for event in EVENTS}
    missing = given.pop("image_classification-endpoint-missing")["endpoint_name"]
    endpoints = {event["endpoint_name"] for event in given.values() if "endpoint_name" in event}
    assert len(endpoints) == 1
    assert missing not in endpoints


@pytest.mark.parity("lambda-runtime")
@pytest.mark.parametrize("folder", FOLDERS)
def test_function_requirements_are_locked(folder):
    locked = (ROOT / "requirements.txt").read_text().splitlines()
    for line in (ROOT / "functions" / folder / "requirements.txt").read_text().splitlines():
        assert line in locked


@pytest.mark.parity("s3-versions", "s3-public-access", "s3-events")
def test_pictures_bucket_is_versioned_private_and_sends_events():
    bucket = RESOURCES["PicturesBucket"]["Properties"]
    assert bucket["VersioningConfiguration"]["Status"] == "Enabled"
    assert list(bucket["PublicAccessBlockConfiguration"].values()) == [True] * 4
    assert bucket["NotificationConfiguration"]["EventBridgeConfiguration"]["EventBridgeEnabled"] is True


@pytest.mark.parity("logs-retention")
def test_log_groups_keep_their_events_for_the_parameters_days():
    groups = of_type(TEMPLATE, "AWS::Logs::LogGroup").values()
    assert len(groups) == len(FOLDERS) + 1
    for group in groups:
        assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}


@pytest.mark.parity("lambda-log-group")
@pytest.mark.parametrize("folder", FOLDERS)
def test_function_may_write_to_its_own_log_group_only(folder):
    function, _ = logical_id_and_state(folder)
    name = function.removesuffix("Function")
    properties = RESOURCES[function]["Properties"]
    assert properties["LoggingConfig"]["LogGroup"] == {"Ref": f"{name}LogGroup"}
    assert properties["Role"] == {"Fn::GetAtt": [f"{name}Role", "Arn"]}
    group = RESOURCES[f"{name}LogGroup"]["Properties"]["LogGroupName"]["Fn::Sub"]
    assert group == f"/aws/lambda/${{AWS::StackName}}-{folder.replace('_', '-')}"
    on_logs = [
        statement
        for owner, statement in statements(TEMPLATE)
        if owner == f"{name}Role" and any(action.startswith("logs:") for action in listed(statement["Action"]))
    ]
    assert [s["Resource"] for s in on_logs] == [{"Fn::GetAtt": [f"{name}LogGroup", "Arn"]}]


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.stem)
def test_picture_in_event_is_the_file_of_its_key(event):
    given = json.loads(event.read_text())
    if given.get("image_data") and "broken" not in event.stem:
        picture = ROOT / "events/pictures" / Path(given["s3_key"]).name
        assert base64.b64decode(given["image_data"]) == picture.read_bytes()
