"""Every command ends the same way: its message, its exit status, and no traceback."""

import pytest
from botocore.exceptions import ClientError, NoRegionError

from common.command import run_command
from common.errors import ExpectedError

DENIED = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ListBuckets")


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (0, 0), (3, 3)])
def test_command_that_ends_returns_its_status(returned, status):
    assert run_command("evaluate", lambda: returned) == status


@pytest.mark.parametrize("error", [ExpectedError("why"), DENIED, NoRegionError(), FileNotFoundError("why")])
def test_expected_error_ends_the_command_with_its_message(error, capsys):
    def work():
        raise error

    assert run_command("evaluate", work) == 1
    assert capsys.readouterr().err == f"evaluate: {error}\n"


def test_defect_keeps_its_traceback_unless_it_is_declared_as_expected():
    def work():
        raise LookupError("defect")

    with pytest.raises(LookupError):
        run_command("evaluate", work)
    assert run_command("evaluate", work, expected=(LookupError,)) == 1


@pytest.mark.parametrize(
    ("interrupted", "message"),
    [
        ("", "evaluate: interrupted\n"),
        ("nothing was written", "evaluate: interrupted; nothing was written\n"),
        (lambda: "2 of 3 were written", "evaluate: interrupted; 2 of 3 were written\n"),
    ],
)
def test_ctrl_c_states_what_is_left_and_returns_130(interrupted, message, capsys):
    def work():
        raise KeyboardInterrupt

    assert run_command("evaluate", work, interrupted) == 130
    assert capsys.readouterr().err == message
