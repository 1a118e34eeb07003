"""Messages, labels and pictures of a review: how they are read, and how damaged ones are reported."""

import io
import json
import re
from datetime import timedelta

import pytest
from PIL import Image

from common.labels.label import (
    NEITHER,
    LabelError,
    QuestionError,
    is_label_key,
    label_key,
    now,
    read_label,
    read_message,
)
from common.s3_picture import S3Picture
from common.settings import ROOT
from operations.reviewing.backend import ServedModels
from operations.reviewing.page_picture import LONG_SIDE, encode_for_page, read_page_picture
from tests.unit.aws_stubs import SHARED, Body, stubbed
from tests.unit.operations.review_backend import WHEN, body, label, question

# `printf b/k | sha256sum`
SHA_256_OF_B_K = "710800c9e207017de17bae08517e6f4be26fb0ada2b05edb083c85538fb0c0ac"


def field_names(value, assigned):
    """Return the names in a JSONata object, or in the objects that its variables were assigned."""
    if isinstance(value, dict):
        return set(value)
    names = set(re.findall(r"'(\w+)': ", value))
    for variable in set(re.findall(r"\$(\w+)", value)) & set(assigned):
        names |= field_names(assigned[variable], assigned)
    return names


def test_message_of_the_workflow_has_the_fields_of_the_tests():
    states = json.loads((ROOT / "statemachine/MyStateMachine.asl.json").read_text())["States"]
    assigned = {name: value for state in states.values() for name, value in state.get("Assign", {}).items()}
    written = states["Send To Review"]["Arguments"]["MessageBody"]
    assert field_names(written, assigned) == set(json.loads(body()))


def test_message_is_read_with_the_models_answer():
    asked = question(7)
    assert asked.picture == S3Picture("pictures", "inbox/7.png", "v7")
    assert (asked.guess, asked.confidence, asked.threshold) == ("bicycle", 0.625, 0.9)
    assert asked.probabilities() == [("bicycle", 0.625), ("motorcycle", 0.375)]


@pytest.mark.parametrize("inferences", [None, [0.5], "?", [1, None], [10**400, 0]], ids=str)
def test_unusable_probabilities_are_left_out(inferences):
    assert question(inferences=inferences).probabilities() == [("bicycle", None), ("motorcycle", None)]


@pytest.mark.parametrize(
    ("changes", "class_names", "confidence"),
    [
        ({"class_names": None}, ("bicycle",), 0.625),
        ({"class_names": [], "label": None}, (), 0.625),
        ({"class_names": [3], "confidence": "high", "threshold": True}, ("bicycle",), None),
        ({"confidence": 10**400}, ("bicycle", "motorcycle"), None),
    ],
    ids=["no classes", "no guess either", "wrong types", "huge number"],
)
def test_unusable_fields_are_left_out(changes, class_names, confidence):
    asked = question(**changes)
    assert (asked.class_names, asked.confidence) == (class_names, confidence)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *[(text, "names no picture") for text in ("", "not JSON", "[1]", '{"s3_bucket": "b"}')],
        *[(body(**changes), "names no picture") for changes in ({"s3_key": ""}, {"s3_bucket": 5})],
        (body(s3_key="\ud800"), "not Unicode"),  # a lone surrogate, which JSON can spell
        (body(s3_version_id="\udfff"), "not Unicode"),
        (body(label="\ud800", class_names=None), "not Unicode"),
        (body(class_names=["neither", "bicycle"]), "class 'neither' is reserved"),
        (body(class_names=None, label="neither"), "class 'neither' is reserved"),
    ],
    ids=ascii,
)
def test_message_that_nobody_can_answer_is_an_error(text, reason):
    with pytest.raises(QuestionError, match=reason) as raised:
        read_message(text)
    str(raised.value).encode()  # it is printed


@pytest.mark.parametrize(
    "one",
    [
        label(3, "motorcycle"),
        label(3, NEITHER, s3_version_id=None, inferences=None, endpoint_name=None, confidence=None),
        label(4, "bicycle", s3_key="inbox/ümläut \n.png"),
    ],
)
def test_label_is_read_as_written(one):
    assert read_label(one.body(), "x") == one
    assert json.loads(one.body())["decided_by"] == "ada"


def test_each_version_has_its_own_label_key():
    folder = f"review-labels/{SHA_256_OF_B_K}"
    names = [label_key(S3Picture("b", "k", version)) for version in ("1", "2", None)]
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
def test_other_keys_are_not_labels(key):
    assert not is_label_key(key)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "Expecting"),
        (b"[]", "not a JSON object"),
        (b"\xff", "utf-8"),
        (b"{}", "names no picture"),
        (json.dumps({**json.loads(body()), "decided_at": "x"}).encode(), "its decided_by is None"),
    ],
)
def test_damaged_label_is_named(content, reason):
    with pytest.raises(LabelError, match=rf"^s3://b/x.json is not a label .*{reason}") as raised:
        read_label(content, "s3://b/x.json")
    assert "delete" not in str(raised.value)  # it may be anything, and anybody's


def test_times_are_in_utc_to_the_millisecond():
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", now())


def picture(size=(32, 32), kind="PNG", **options):
    stream = io.BytesIO()
    Image.effect_noise(size, 60).convert("RGB").save(stream, kind, **options)
    return stream.getvalue()


def turned_photo():
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by a quarter
    return picture((64, 48), "JPEG", exif=exif)


@pytest.mark.parametrize(
    ("content", "media_type", "size"),
    [
        (picture(), "image/png", (32, 32)),
        (picture((400, 300), "JPEG"), "image/jpeg", (400, 300)),
        (picture((3000, 1500), "JPEG"), "image/jpeg", (LONG_SIDE, LONG_SIDE // 2)),
        (turned_photo(), "image/png", (48, 64)),
    ],
    ids=["small", "large", "huge", "rotated"],
)
def test_picture_is_encoded_upright_for_browsers(content, media_type, size):
    shown = encode_for_page(content)
    assert (shown.media_type, (shown.width, shown.height), shown.problem) == (media_type, size, "")
    with Image.open(io.BytesIO(shown.content)) as image:
        assert image.size == size


@pytest.mark.parametrize("content", [b"", b"<svg onload=alert(1)>", picture()[:60]])
def test_file_that_is_not_a_picture_has_a_permanent_problem(content):
    shown = encode_for_page(content)
    assert (shown.content, shown.permanent) == (b"", True)
    assert shown.problem.startswith("It cannot be decoded: ")
    assert "object at 0x" not in shown.problem


def test_the_questions_version_is_read():
    s3, stub = stubbed("s3")
    content = picture()
    asked = {"Bucket": "pictures", "Key": "inbox/1.png", "VersionId": "v1"}
    stub.add_response("get_object", {"ContentLength": len(content), "Body": Body(content)}, asked)
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
def test_picture_that_s3_refuses_has_a_problem(code, status, problem, permanent):
    s3, stub = stubbed("s3")
    stub.add_client_error("get_object", code, "log in", http_status_code=status)
    shown = read_page_picture(s3, question().picture)
    assert problem in shown.problem
    assert shown.permanent is permanent


def test_too_large_picture_is_not_read():
    s3, stub = stubbed("s3")
    stub.add_response("get_object", {"ContentLength": 7_000_000, "Body": Body(b"")})
    shown = read_page_picture(s3, question().picture)
    assert ("7,000,000 bytes" in shown.problem, shown.permanent) == (True, True)


def test_invalid_bucket_name_has_a_permanent_problem():
    shown = read_page_picture(SHARED.client("s3"), S3Picture("a b", "k", None))
    assert ("not valid" in shown.problem, shown.permanent) == (True, True)


@pytest.mark.parametrize(("code", "status"), [("SlowDown", 503), ("TooManyRequests", 429)])
def test_transient_error_of_s3_is_raised(code, status):
    s3, stub = stubbed("s3")
    stub.add_client_error("get_object", code, http_status_code=status)
    with pytest.raises(s3.exceptions.ClientError, match=code):
        read_page_picture(s3, question().picture)


ARN = "arn:aws:sagemaker:eu-west-1:123456789012:endpoint"
ENDPOINT = {
    "EndpointName": "e",
    "EndpointArn": f"{ARN}/e",
    "EndpointConfigName": "c",
    "EndpointStatus": "InService",
    "CreationTime": WHEN,
}
CONFIG = {"EndpointConfigName": "c", "EndpointConfigArn": f"{ARN}-config/c", "CreationTime": WHEN}


class Models:
    """Served models, two hours after WHEN, and what SageMaker answers."""

    def __init__(self, monkeypatch):
        client, self.stub = stubbed("sagemaker")
        self.served = ServedModels(client)
        self.name = self.served.name
        self.now = WHEN + timedelta(hours=2)
        monkeypatch.setattr("operations.reviewing.backend._now", lambda: self.now)

    def wait(self, seconds):
        self.now += timedelta(seconds=seconds)
        return self.now

    def answers(self, *names, modified=WHEN):
        self.stub.add_response("describe_endpoint", {**ENDPOINT, "LastModifiedTime": modified})
        variants = [{"VariantName": f"v{n}", "ModelName": name} for n, name in enumerate(names)]
        self.stub.add_response("describe_endpoint_config", {**CONFIG, "ProductionVariants": variants})


@pytest.fixture
def models(monkeypatch):
    made = Models(monkeypatch)
    yield made
    made.stub.assert_no_pending_responses()


def test_model_is_that_of_the_endpoint_and_cached_for_a_minute(models):
    models.answers("m-1")
    assert [models.name("e", WHEN) for _ in range(3)] == ["m-1"] * 3
    models.wait(61)
    models.answers("m-2")
    assert models.name("e", WHEN) == "m-2"


def test_cached_model_is_not_used_for_a_later_guess(models):
    models.answers("m-1")
    assert models.name("e", WHEN) == "m-1"
    updated, guessed = models.wait(10), models.wait(10)
    models.wait(10)  # still less than a minute
    models.answers("m-2", modified=updated)
    assert (models.name("e", guessed), models.name("e", WHEN)) == ("m-2", None)


def test_model_of_several_is_unknown(models):
    models.answers("m-1", "m-2")
    assert models.name("e", WHEN) is None


def test_model_of_a_missing_endpoint_is_unknown(models):
    assert models.name(None, WHEN) is None
    models.stub.add_client_error("describe_endpoint", "ValidationException", "Could not find")
    assert models.name("e", WHEN) is None
