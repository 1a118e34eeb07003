"""Messages, labels and pictures: what is read of them, and what is said of damaged ones."""

import io
import json
import re
from datetime import timedelta

import pytest
from PIL import Image

from common.labels.label import LabelError, is_label_key, label_key, now, read_label
from common.labels.question import NEITHER, QuestionError, read_message
from common.s3_picture import Picture
from common.settings import ROOT
from operations.reviewing.served_model import ServedModels
from operations.reviewing.page_picture import LONG_SIDE, read_page_picture, show
from tests.unit.aws_stubs import SHARED, Body, stubbed
from tests.unit.operations.review_backend import WHEN, body, label, question

# `printf b/k | sha256sum`
SHA_256_OF_B_K = "710800c9e207017de17bae08517e6f4be26fb0ada2b05edb083c85538fb0c0ac"


def test_every_field_that_the_workflow_queues_is_known():
    definition = json.loads((ROOT / "statemachine/MyStateMachine.asl.json").read_text())
    written = definition["States"]["Send To Review"]["Arguments"]["MessageBody"]
    assert set(re.findall(r"'(\w+)': ", written)) == set(json.loads(body()))


def test_a_message_is_read_with_the_models_answer():
    asked = question(7)
    assert asked.picture == Picture("pictures", "inbox/7.png", "v7")
    assert (asked.guess, asked.confidence, asked.threshold) == ("bicycle", 0.625, 0.9)
    assert asked.probabilities() == [("bicycle", 0.625), ("motorcycle", 0.375)]


@pytest.mark.parametrize(
    "changes",
    [{"inferences": None}, {"inferences": [0.5]}, {"inferences": "?"}, {"inferences": [1, None]}],
    ids=str,
)
def test_probabilities_that_did_not_come_or_do_not_fit_are_not_shown(changes):
    assert question(**changes).probabilities() == [("bicycle", None), ("motorcycle", None)]


def test_without_class_names_there_is_the_guess_to_choose():
    assert question(class_names=None).class_names == ("bicycle",)
    assert question(class_names=[], label=None).class_names == ()
    assert question(class_names=[3], confidence="high", threshold=True).confidence is None


@pytest.mark.parametrize("text", ["", "no json", "[1]", '{"s3_bucket": "b"}', body(s3_key=""), body(s3_bucket=5)])
def test_a_message_of_no_picture_is_an_error(text):
    with pytest.raises(QuestionError, match="names no picture"):
        read_message(text)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"s3_key": "\ud800"}, "text that is none"),  # half of a pair, as JSON can have it
        ({"s3_version_id": "\udfff"}, "text that is none"),
        ({"label": "\ud800", "class_names": None}, "text that is none"),
        ({"class_names": ["neither", "bicycle"]}, "class 'neither' is what people choose"),
        ({"class_names": None, "label": "neither"}, "class 'neither' is what people choose"),
    ],
    ids=ascii,
)
def test_a_message_that_nobody_could_decide_is_an_error(changes, why):
    with pytest.raises(QuestionError, match=why) as raised:
        read_message(body(**changes))
    str(raised.value).encode()  # it is printed


def test_a_number_that_is_too_large_is_none():
    assert question(confidence=10**400, inferences=[10**400, 0]).confidence is None
    assert question(inferences=[10**400, 0]).inferences == ()


@pytest.mark.parametrize(
    "one",
    [
        label(3, "motorcycle"),
        label(3, NEITHER, s3_version_id=None, inferences=None, endpoint_name=None, confidence=None),
        label(4, "bicycle", s3_key="inbox/ümläut \n.png"),
    ],
)
def test_a_label_is_read_as_it_was_written(one):
    assert read_label(one.body(), "x") == one
    assert json.loads(one.body())["decided_by"] == "ada"


def test_labels_of_versions_lie_apart_and_a_bucket_without_versions_has_one():
    folder = f"review-labels/{SHA_256_OF_B_K}"
    names = [label_key(Picture("b", "k", version)) for version in ("1", "2", None)]
    assert names == [f"{folder}/1.json", f"{folder}/2.json", f"{folder}/null.json"]
    assert all(is_label_key(name) for name in names)


@pytest.mark.parametrize(
    "key",
    [
        "review-labels/notes.txt",
        "review-labels/x/1.json",
        f"review-labels/{SHA_256_OF_B_K}/1.json.bak",
        f"review-labels/{SHA_256_OF_B_K}/more/1.json",
        f"labels/{SHA_256_OF_B_K}/1.json",
        f"review-labels/backup/review-labels/{SHA_256_OF_B_K}/1.json",
    ],
)
def test_other_objects_are_not_taken_for_labels(key):
    assert not is_label_key(key)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{", "Expecting"),
        (b"[]", "not a JSON object"),
        (b"\xff", "utf-8"),
        (b"{}", "names no picture"),
        (json.dumps({**json.loads(body()), "decided_at": "x"}).encode(), "its decided_by is None"),
    ],
)
def test_a_damaged_label_is_named(content, why):
    with pytest.raises(LabelError, match=rf"^s3://b/x.json is not a label .*{why}") as raised:
        read_label(content, "s3://b/x.json")
    assert "delete" not in str(raised.value)  # it may be anything, and anybody's


def test_times_are_in_utc_to_the_millisecond():
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", now())


def picture(size=(32, 32), kind="PNG", **options):
    stream = io.BytesIO()
    Image.effect_noise(size, 60).convert("RGB").save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "media_type", "size"),
    [
        (picture(), "image/png", (32, 32)),
        (picture((400, 300), "JPEG"), "image/jpeg", (400, 300)),
        (picture((3000, 1500), "JPEG"), "image/jpeg", (LONG_SIDE, LONG_SIDE // 2)),
    ],
)
def test_a_picture_is_shown_as_what_browsers_know(content, media_type, size):
    shown = show(content)
    assert (shown.media_type, (shown.width, shown.height), shown.problem) == (media_type, size, "")
    with Image.open(io.BytesIO(shown.content)) as image:
        assert image.size == size


def test_a_photo_is_shown_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    assert (show(picture((64, 48), "JPEG", exif=exif)).width) == 48


@pytest.mark.parametrize("content", [b"", b"<svg onload=alert(1)>", picture()[:60]])
def test_what_is_no_picture_is_said_to_be_none(content):
    shown = show(content)
    assert (shown.content, shown.permanent) == (b"", True)
    assert shown.problem.startswith("It cannot be decoded: ")
    assert "object at 0x" not in shown.problem


def test_the_very_version_is_read():
    s3, stub = stubbed("s3")
    content = picture()
    stub.add_response(
        "get_object",
        {"ContentLength": len(content), "Body": Body(content)},
        {"Bucket": "pictures", "Key": "inbox/1.png", "VersionId": "v1"},
    )
    assert read_page_picture(s3, question(1).picture).width == 32
    stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("code", "status", "problem", "permanent"),
    [
        ("NoSuchVersion", 404, "It is gone", True),
        ("NoSuchKey", 404, "It is gone", True),
        ("MethodNotAllowed", 405, "It is gone", True),
        ("AccessDenied", 403, "ask for s3:GetObjectVersion", False),
        ("ExpiredToken", 400, "S3 refuses it (ExpiredToken: log in)", False),
        ("RequestTimeTooSkewed", 403, "S3 refuses it (RequestTimeTooSkewed", False),
        ("InvalidObjectState", 403, "S3 refuses it (InvalidObjectState", False),
    ],
)
def test_a_picture_that_s3_does_not_give_is_no_reason_to_stop(code, status, problem, permanent):
    s3, stub = stubbed("s3")
    stub.add_client_error("get_object", code, "log in", http_status_code=status)
    shown = read_page_picture(s3, question().picture)
    assert problem in shown.problem
    assert shown.permanent is permanent


def test_a_picture_of_too_many_bytes_is_not_fetched():
    s3, stub = stubbed("s3")
    stub.add_response("get_object", {"ContentLength": 7_000_000, "Body": Body(b"")})
    shown = read_page_picture(s3, question().picture)
    assert "7,000,000 bytes" in shown.problem
    assert shown.permanent


def test_an_impossible_place_is_no_reason_to_stop():
    shown = read_page_picture(SHARED.client("s3"), Picture("a b", "k", None))
    assert "no possible one" in shown.problem
    assert shown.permanent


@pytest.mark.parametrize(("code", "status"), [("SlowDown", 503), ("TooManyRequests", 429)])
def test_s3_being_busy_is_an_error_for_now(code, status):
    s3, stub = stubbed("s3")
    stub.add_client_error("get_object", code, http_status_code=status)
    with pytest.raises(s3.exceptions.ClientError, match=code):
        read_page_picture(s3, question().picture)


ENDPOINT = {
    "EndpointName": "e",
    "EndpointArn": "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/e",
    "EndpointConfigName": "c",
    "EndpointStatus": "InService",
    "CreationTime": WHEN,
}
CONFIG = {
    "EndpointConfigName": "c",
    "EndpointConfigArn": "arn:aws:sagemaker:eu-west-1:123456789012:endpoint-config/c",
    "CreationTime": WHEN,
}


def add_models(stub, *names, modified=WHEN):
    stub.add_response("describe_endpoint", {**ENDPOINT, "LastModifiedTime": modified})
    variants = [{"VariantName": f"v{n}", "ModelName": name} for n, name in enumerate(names)]
    stub.add_response("describe_endpoint_config", {**CONFIG, "ProductionVariants": variants})


def models(*names, modified=WHEN):
    client, stub = stubbed("sagemaker")
    add_models(stub, *names, modified=modified)
    return ServedModels(client)


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Let it be two hours after WHEN; return what lets seconds pass."""
    now = [WHEN + timedelta(hours=2)]
    monkeypatch.setattr("operations.reviewing.served_model._now", lambda: now[0])

    def pass_(seconds):
        now[0] += timedelta(seconds=seconds)
        return now[0]

    return pass_


def test_the_model_is_that_of_the_endpoint_and_asked_for_once():
    served = models("m-1")
    assert [served.name("e", WHEN) for _ in range(3)] == ["m-1"] * 3


def test_an_answer_says_nothing_of_a_guess_that_came_after_it(clock):
    client, stub = stubbed("sagemaker")
    add_models(stub, "m-1")
    served = ServedModels(client)
    assert served.name("e", WHEN) == "m-1"
    updated, guessed = clock(10), clock(10)
    clock(10)  # still less than a minute
    add_models(stub, "m-2", modified=updated)
    assert (served.name("e", guessed), served.name("e", WHEN)) == ("m-2", None)
    stub.assert_no_pending_responses()


def test_an_old_answer_is_asked_for_again(clock):
    client, stub = stubbed("sagemaker")
    add_models(stub, "m-1")
    served = ServedModels(client)
    served.name("e", WHEN)
    clock(61)
    add_models(stub, "m-2")
    assert served.name("e", WHEN) == "m-2"


def test_a_model_that_came_after_the_guess_did_not_guess():
    later = WHEN.replace(hour=9)
    served = models("m-2", modified=later)
    assert (served.name("e", WHEN), served.name("e", later)) == (None, "m-2")


def test_of_several_models_nobody_knows_which_guessed():
    assert models("m-1", "m-2").name("e", WHEN) is None
    assert ServedModels(None).name(None, WHEN) is None


def test_an_endpoint_that_is_gone_has_no_model():
    client, stub = stubbed("sagemaker")
    stub.add_client_error("describe_endpoint", "ValidationException", "Could not find")
    assert ServedModels(client).name("e", WHEN) is None
