import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from ministack.core import lambda_runtime
from ministack.services import eventbridge, lambda_svc, s3

from local.ministack import lambda_failures, lambda_workers, upload_events
from local.ministack.ministack_source import MiniStackChangedError, check_source
from local.ministack.upload_duplicates import Duplicates


def install_upload_events() -> None:
    upload_events.install(Duplicates())


@contextmanager
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take back what an `install` in it changes."""
    with monkeypatch.context() as patch:
        for module, name in (
            (s3, "_fire_s3_event"),
            (eventbridge, "_dispatch_event"),
            (lambda_svc, "_execute_function_warm"),
            (lambda_svc, "_throttle_response"),
            (lambda_runtime, "_collect"),
            (lambda_runtime, "_PYTHON_WORKER_SCRIPT"),
        ):
            patch.setattr(module, name, getattr(module, name))
        yield


def test_a_changed_function_is_named_with_what_to_compare() -> None:
    with pytest.raises(MiniStackChangedError) as refused:
        check_source(check_source, "00000000", "local/ministack/alarms.py")
    assert "local.ministack.ministack_source.check_source has changed" in str(refused.value)
    assert "compare it with local/ministack/alarms.py" in str(refused.value)


@pytest.mark.parametrize(
    ("module", "name", "install"),
    [
        (s3, "_fire_s3_event", install_upload_events),
        (eventbridge, "_dispatch_event", install_upload_events),
        (lambda_svc, "_execute_function_warm", lambda_workers.install),
        (lambda_svc, "_throttle_response", lambda_workers.install),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_upgrade_that_changes_the_function_is_refused_and_nothing_is_changed(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, install: Any
) -> None:
    changed = getattr(module, name)
    source = inspect.getsource

    def getsource(function: Any) -> str:
        return source(function) + "# upgraded\n" * (function is changed)

    with restored(monkeypatch):
        monkeypatch.setattr(inspect, "getsource", getsource)
        script = lambda_runtime._PYTHON_WORKER_SCRIPT
        with pytest.raises(MiniStackChangedError, match=f"{name} has changed"):
            install()
        assert getattr(module, name) is changed
        assert script == lambda_runtime._PYTHON_WORKER_SCRIPT


def test_workers_are_checked_behind_what_the_other_change_put_in_front(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ministack.services import stepfunctions

    with restored(monkeypatch):
        monkeypatch.setattr(stepfunctions, "_call_lambda", stepfunctions._call_lambda)
        lambda_failures.install()
        lambda_workers.install()
        assert lambda_svc._execute_function_warm.__module__ == "local.ministack.lambda_workers"
