"""Cost of the workflow: the limit, the page, and that both follow from the deployed files."""

import copy
import io
import re
from typing import Any

import pytest
from botocore.stub import Stubber
from PIL import Image

from functions.filter_low_confidence import app as filter_low_confidence
from functions.image_classification import app as image_classification
from functions.serialize_image_data import app as serialize_image_data
from operations.cost import __main__ as command
from operations.cost import inputs as inputs_module
from operations.cost import model, workflow
from operations.cost.inputs import Inputs, read_inputs
from operations.cost.model import total
from operations.cost.workflow import CostError
from tests.unit.aws_stubs import Body
from tests.unit.operations.workflow_drawing.builders import machine
from training.create_endpoint import HOSTING_USD_PER_HOUR, HOURS_PER_MONTH

ARN = "arn:aws:states:us-east-1:123456789012:express:scones-unlimited-MyExpressStateMachine:x:y"


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    return read_inputs()


CHOICE = {"Type": "Choice", "Choices": [{"Next": "B"}], "Default": "C"}
END = {"Type": "Succeed"}


@pytest.mark.parametrize(
    ("definition", "decisions", "message"),
    [
        (machine(A=CHOICE, B=END, C=END), {}, r"'A' goes to one of \['B', 'C'\]"),
        (machine(A=CHOICE, B=END, C=END), {"A": "D"}, r"'A' goes to one of \['B', 'C'\]"),
        (machine(A={"Type": "Pass", "Next": "B"}), {}, r"no state 'B'"),
        (machine(A={"Type": "Pass", "Next": "A"}), {}, "comes back to 'A'"),
    ],
)
def test_path_that_the_definition_lacks_is_refused(definition, decisions, message):
    with pytest.raises(CostError, match=message):
        workflow.follow(definition, decisions)


def test_definition_without_distributed_map_is_refused():
    with pytest.raises(CostError, match="no Map state of mode DISTRIBUTED"):
        workflow.map_state([{"Type": "Pass"}], "DISTRIBUTED")


def test_price_without_source_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "prices.toml"
    path.write_text('read_on = 2026-11-23\n[s3_get]\nusd = 1\nunit = "request"\nitem = "GET"\n')
    monkeypatch.setattr(inputs_module, "PRICES", path)
    with pytest.raises(CostError, match=r"prices\.toml: \[s3_get\] needs exactly usd, unit, item"):
        read_inputs()


def test_command_without_definition_fails_with_a_message(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "read_inputs", lambda: read_inputs(tmp_path))
    assert command.main([]) == 1
    assert "cannot read the deployed files" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--requests-per-second", "0"],
        ["--requests-per-second", "inf"],
        ["--review-share", "1.5"],
        ["--write", "--requests-per-second", "5"],
    ],
)
def test_option_out_of_range_is_refused(arguments):
    with pytest.raises(SystemExit, match="2"):
        command.main(arguments)


@pytest.mark.parity("billing")
def test_million_pictures_in_batches_cost_at_most_15_dollars(inputs):
    assert total(model.batch_rows(inputs)) <= command.BATCH_LIMIT_USD == 15


def test_batch_without_item_batcher_or_with_full_log_exceeds_the_limit(inputs):
    unbatched, full_log = copy.deepcopy(inputs), copy.deepcopy(inputs)
    state = unbatched.batch["States"]["Classify Every Picture"]
    state["MaxConcurrency"] *= state.pop("ItemBatcher")["MaxItemsPerBatch"]
    full_log.resources["MyExpressStateMachine"]["Properties"]["Logging"]["Level"] = "ALL"
    for changed in (unbatched, full_log):
        assert total(model.batch_rows(changed)) > command.BATCH_LIMIT_USD


def test_cost_page_is_current(inputs):
    assert command.PAGE.read_text(encoding="utf-8") == command.markdown(inputs), (
        "docs/cost.md is stale: run `python -m operations.cost --write`"
    )


def test_paths_and_calls_are_read_from_the_definition(inputs):
    assert inputs.accepted.states[-1] is inputs.single["States"]["Record Prediction"]
    assert not inputs.accepted.fails
    assert inputs.review.fails
    assert inputs.accepted.functions == inputs.review.functions
    assert set(inputs.accepted.functions) == set(model.FUNCTION_MS)
    assert inputs.accepted.calls == {("dynamodb", "putItem"): 1}
    assert inputs.review.calls["sqs", "sendMessage"] == 1


@pytest.mark.parity("billing")
def test_additional_state_costs_a_transition_and_its_events(inputs):
    longer = copy.deepcopy(inputs)
    longer.single["States"]["Before"] = {"Type": "Pass", "Next": longer.single["StartAt"]}
    longer.single["StartAt"] = "Before"
    difference = total(model.standard_rows(longer)) - total(model.standard_rows(inputs))
    events = workflow.HISTORY_EVENTS["Pass"] * inputs.assume("event_log_bytes")
    assert inputs.log_level("MyStateMachine") == "ALL"
    assert difference == pytest.approx(25 + events * 1e6 / 1e9 * 0.5)


def test_path_counts_history_events_and_calls():
    small = machine(
        A={"Type": "Pass", "Next": "B"},
        B={"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "Next": "C"},
        C={"Type": "Fail"},
    )
    path = workflow.follow(small, {})
    assert path.events == 2 + 2 + 5 + 1
    assert path.calls == {("sqs", "sendMessage"): 1}


@pytest.mark.parity("billing")
@pytest.mark.parametrize(("seconds", "billed"), [(0.01, 0.1), (0.3, 0.3), (0.300001, 0.4), (0.7142, 0.8)])
def test_express_time_is_rounded_up_to_tenths_of_a_second(seconds, billed):
    assert model.billed_express_seconds(seconds) == pytest.approx(billed)


def test_express_memory_is_billed_in_steps_of_64_mb():
    assert model.express_gb(20_000, 262_144) == 64 / 1024
    assert model.express_gb(0, 15 * 1024**2) == 128 / 1024


def test_batch_speed_obeys_littles_law(inputs):
    for requests in (10, 100, 1000):
        changed = inputs.with_assumption("endpoint_requests_per_second", requests)
        pace = model.speed(changed)
        assert pace.pictures_per_second * pace.child_s == pytest.approx(inputs.batch_size * inputs.concurrent_children)
        assert pace.pictures_per_second <= model.endpoint_capacity(changed)


def test_x_ray_records_slow_requests_all_and_fast_ones_at_five_percent(inputs):
    assert model.traced_share(inputs, 0.4) == 1
    assert model.traced_share(inputs, 101) == pytest.approx((1 + 0.05 * 100) / 101)


def test_alarm_over_metric_math_costs_each_metric():
    stat: dict[str, Any] = {"MetricStat": {"Metric": {}}}
    assert model.alarm_metrics({"Metrics": [stat, stat, {"Expression": "a/b"}]}) == 2
    assert model.alarm_metrics({"MetricName": "Errors"}) == 1


@pytest.mark.parity("billing")
def test_every_price_has_a_source_and_a_copy(inputs):
    for name, price in inputs.prices.items():
        assert price.source.startswith("https://"), name
        assert price.usd > 0, name
        assert price.copy, name
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", inputs.prices_read_on)


def test_failure_costs_a_publish_an_email_and_two_key_requests(inputs):
    rows = model.failure_rows(inputs, 1_000_000)
    assert total(rows) == pytest.approx(0.5 + 20 + 6)


def test_endpoint_price_equals_that_of_create_endpoint(inputs):
    for kind in command.INSTANCES:
        if kind in HOSTING_USD_PER_HOUR:
            assert inputs.prices[kind].usd == HOSTING_USD_PER_HOUR[kind]
    assert command.DEFAULT_INSTANCE in HOSTING_USD_PER_HOUR
    assert inputs.assume("hours_per_month") == HOURS_PER_MONTH


def test_functions_log_no_more_than_assumed(inputs, monkeypatch, capsys):
    logged = io.StringIO()
    for app in (serialize_image_data, image_classification, filter_low_confidence):
        monkeypatch.setattr(app.logger.registered_handler, "stream", logged)
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1")
    picture = io.BytesIO()
    Image.new("RGB", (32, 32)).save(picture, "PNG")
    answer = {"labels": ["bicycle", "motorcycle"], "probabilities": [0.9876, 0.0124]}
    event: dict[str, Any] = {
        "s3_bucket": "scones-unlimited-pictures-123456789012-us-east-1",
        "s3_key": "inbox/" + "k" * 100 + ".png",
        "execution_arn": ARN,
    }
    with Stubber(serialize_image_data.s3) as s3, Stubber(image_classification.runtime) as runtime:
        s3.add_response("get_object", {"Body": Body(picture.getvalue()), "ContentLength": picture.getbuffer().nbytes})
        runtime.add_response("invoke_endpoint", {"Body": Body(answer)})
        event = serialize_image_data.lambda_handler(event, None)
        event |= {"endpoint_name": "scones-unlimited", "class_names": [], "threshold": 0.9}
        event = image_classification.lambda_handler(event, None)
        event = filter_low_confidence.lambda_handler(event, None)
        s3.assert_no_pending_responses()
        runtime.assert_no_pending_responses()

    lines = (logged.getvalue() + capsys.readouterr().out).splitlines()
    size = sum(len(line.encode()) + 26 for line in lines)  # CloudWatch adds 26 to each event
    assert len(lines) >= 3
    assert 0.5 * inputs.assume("function_log_bytes") <= size <= inputs.assume("function_log_bytes")


def test_command_prints_every_section(capsys, inputs):
    assert command.main([]) == 0
    printed = capsys.readouterr().out
    titles = re.findall("^#+ (.*)", command.markdown(inputs), re.MULTILINE)
    assert len(titles) == 9
    for title in titles:
        assert title in printed


def test_command_uses_its_options(capsys):
    assert command.main(["--review-share", "1", "--requests-per-second", "500"]) == 0
    assert "500 requests a second" in " ".join(capsys.readouterr().out.split())


def test_write_replaces_the_page_and_prints_the_summary(monkeypatch, tmp_path, inputs, capsys):
    monkeypatch.setattr(command, "PAGE", tmp_path / "cost.md")
    monkeypatch.setattr(command, "ROOT", tmp_path)
    assert command.main(["--write"]) == 0
    assert (tmp_path / "cost.md").read_text(encoding="utf-8") == command.markdown(inputs)
    assert [p.name for p in tmp_path.iterdir()] == ["cost.md"]
    printed = capsys.readouterr().out
    assert "batch path" in printed
    assert "Where the break-even lies" not in printed
    assert "Wrote cost.md" in printed
