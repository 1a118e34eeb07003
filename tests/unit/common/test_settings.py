"""Settings read from samconfig.toml, and the names made of them."""

import pytest

from common import settings
from common.settings import Project, SettingsError, read_project

OVERRIDES = '["EndpointName=pictures-1", "ConfidenceThreshold=0.75", "ClassNames=a,b"]'
GOOD = f"""
[default.deploy.parameters]
stack_name = "stack"
tags = ["Project=pictures"]
parameter_overrides = {OVERRIDES}
"""


def write(tmp_path, text):
    path = tmp_path / "samconfig.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", "default"),
        ('[default.deploy.parameters]\nstack_name = "s"', "parameter_overrides"),
        (GOOD.replace("Project=", "Team="), "Project"),
        (GOOD.replace("EndpointName", "Endpoint"), "EndpointName"),
        (GOOD.replace("ConfidenceThreshold", "Threshold"), "ConfidenceThreshold"),
        (GOOD.replace("stack_name", "name"), "stack_name"),
    ],
)
def test_missing_key_is_named_with_its_form(tmp_path, text, key):
    with pytest.raises(SettingsError, match=rf"lacks '{key}' in .*EndpointName=\.\.\."):
        read_project(write(tmp_path, text))


@pytest.mark.parametrize("threshold", ["-0.01", "1.01", "nan", "0,9", ""])
def test_threshold_outside_0_to_1_is_refused(tmp_path, threshold):
    text = GOOD.replace("0.75", threshold)
    with pytest.raises(SettingsError, match=r"must be a number from 0 to 1"):
        read_project(write(tmp_path, text))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (OVERRIDES, "5"),
        (OVERRIDES, "[5]"),
        (OVERRIDES, '"\'EndpointName=a"'),
        ('"stack"', "5"),
    ],
)
def test_value_of_the_wrong_form_is_named(tmp_path, old, new):
    with pytest.raises(SettingsError, match="has a value of the wrong form"):
        read_project(write(tmp_path, GOOD.replace(old, new)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"samconfig\.toml cannot be read \(No such file"),
        (b"[default", r"samconfig\.toml is not valid TOML"),
        (GOOD.encode() + b"# \xff", r"samconfig\.toml has a value of the wrong form"),
    ],
    ids=["missing", "not TOML", "not UTF-8"],
)
def test_unreadable_file_is_named(tmp_path, content, message):
    path = tmp_path / "samconfig.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=message):
        read_project(path)


@pytest.mark.parametrize("name", ["", "Tea Rooms", "a-", "a" * 27])
def test_project_name_that_no_bucket_could_have_is_refused(tmp_path, name):
    with pytest.raises(SettingsError, match="cannot be the name of the project"):
        read_project(write(tmp_path, GOOD.replace("Project=pictures", f"Project={name}")))


@pytest.mark.parity("s3-bucket-name", "account")
def test_longest_project_name_fits_a_bucket_name(monkeypatch):
    project = Project("a" * 26, "stack", "endpoint", 0.9, {})
    monkeypatch.setattr(settings, "project", lambda: project)
    assert len(settings.default_bucket("1" * 12, "ap-southeast-1")) == 63


@pytest.mark.parity("endpoint-arn-lower-case")
@pytest.mark.parametrize("name", ["-a", "a-", "Pictures", "a_b", "", "a" * 64])
def test_endpoint_name_that_sagemaker_refuses_is_refused(tmp_path, name):
    text = GOOD.replace("pictures-1", name)
    with pytest.raises(SettingsError, match=r"cannot be the name of an endpoint\. Use 1 to 63"):
        read_project(write(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [GOOD, GOOD.replace(OVERRIDES, '"EndpointName=pictures-1 ConfidenceThreshold=0.75 ClassNames=a,b"')],
    ids=["list", "string"],
)
def test_names_threshold_and_all_parameters_are_read(tmp_path, text):
    assert read_project(write(tmp_path, text)) == Project(
        "pictures",
        "stack",
        "pictures-1",
        0.75,
        {"EndpointName": "pictures-1", "ConfidenceThreshold": "0.75", "ClassNames": "a,b"},
    )


def test_project_is_the_repositorys_own_file():
    assert settings.project() == read_project(settings.SAMCONFIG)
