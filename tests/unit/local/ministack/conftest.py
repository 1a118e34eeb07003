"""Fixtures of the tests of MiniStack's patches."""

from collections.abc import Callable

import pytest

from local.ministack.patches import Patches, install


@pytest.fixture
def install_for_test(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that installs patches until the end of the test."""

    def install_until_end(*modules: Patches) -> None:
        for patches in modules:
            for source in patches.sources:
                monkeypatch.setattr(source.owner, source.name, getattr(source.owner, source.name))
        install(*modules)

    return install_until_end
