import inspect

import pytest
from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from local.ministack import lambda_failures, lambda_workers
from local.ministack.patches import MiniStackChangedError, install
from local.serving import PATCHES

EVERY_SOURCE = [source for patches in PATCHES for source in patches.sources]


@pytest.mark.parametrize("source", EVERY_SOURCE, ids=lambda source: source.name)
def test_install_with_a_changed_source_fails_and_patches_nothing(monkeypatch, source):
    changed = getattr(source.owner, source.name)
    if isinstance(changed, str):
        monkeypatch.setattr(source.owner, source.name, changed + "# upgraded\n")
    else:
        getsource = inspect.getsource
        monkeypatch.setattr(inspect, "getsource", lambda found: getsource(found) + "# upgraded\n" * (found is changed))
    before = [getattr(each.owner, each.name) for each in EVERY_SOURCE]
    with pytest.raises(MiniStackChangedError, match=f"{source.name} has changed .* compare it with local/ministack/"):
        install(*PATCHES)
    assert [getattr(each.owner, each.name) for each in EVERY_SOURCE] == before


def test_install_two_patches_of_one_function_nests_them(install_for_test):
    install_for_test(lambda_failures.patches, lambda_workers.patches)
    assert lambda_svc._execute_function_warm.__module__ == "local.ministack.lambda_workers"


def test_install_worker_script_sends_exception_names_and_compiles(install_for_test):
    install_for_test(lambda_failures.patches)
    script = lambda_runtime._PYTHON_WORKER_SCRIPT
    compile(script, "worker", "exec")
    assert script.count(lambda_failures.MARK) == 2
