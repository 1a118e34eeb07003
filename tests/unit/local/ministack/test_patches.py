import inspect

import pytest

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
