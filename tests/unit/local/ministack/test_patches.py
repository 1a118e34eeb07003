import inspect
from typing import Any

import pytest
from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from local.ministack import (
    alarms,
    embedded_metrics,
    execution_limits,
    jsonata_parsing,
    lambda_failures,
    lambda_metrics,
    lambda_workers,
    map_batches,
    messaging_metrics,
    metrics,
    retry_delays,
    upload_events,
)
from local.ministack.patches import MiniStackChangedError, Patches, install

MODULES = (
    metrics,
    alarms,
    lambda_failures,
    lambda_workers,
    lambda_metrics,
    embedded_metrics,
    messaging_metrics,
    map_batches,
    execution_limits,
    retry_delays,
    jsonata_parsing,
    upload_events,
)
EVERY_SOURCE = [(module.patches, source) for module in MODULES for source in module.patches.sources]


@pytest.mark.parametrize(
    ("patches", "source"), EVERY_SOURCE, ids=lambda value: value.name if hasattr(value, "name") else ""
)
def test_install_with_a_changed_source_fails_and_patches_nothing(
    monkeypatch: pytest.MonkeyPatch, patches: Patches, source: Any
) -> None:
    changed = getattr(source.owner, source.name)
    if isinstance(changed, str):
        monkeypatch.setattr(source.owner, source.name, changed + "# upgraded\n")
    else:
        getsource = inspect.getsource
        monkeypatch.setattr(inspect, "getsource", lambda found: getsource(found) + "# upgraded\n" * (found is changed))
    before = [getattr(each.owner, each.name) for _, each in EVERY_SOURCE]
    with pytest.raises(MiniStackChangedError, match=f"{source.name} has changed .* compare it with local/ministack/"):
        install(*(module.patches for module in MODULES))
    assert [getattr(each.owner, each.name) for _, each in EVERY_SOURCE] == before


def test_install_two_patches_of_one_function_nests_them(install_for_test: Any) -> None:
    install_for_test(lambda_failures.patches, lambda_workers.patches)
    assert lambda_svc._execute_function_warm.__module__ == "local.ministack.lambda_workers"


def test_install_worker_script_sends_exception_names_and_compiles(install_for_test: Any) -> None:
    install_for_test(lambda_workers.patches)
    script = lambda_runtime._PYTHON_WORKER_SCRIPT
    compile(script, "worker", "exec")
    assert script.count(lambda_workers.MARK) == 2
