import pytest

from local.sagemaker.interruptions import Interruption, Interruptions


def test_draw_interrupts_after_the_time_and_as_often_as_requested():
    requested, twice = Interruptions(), Interruption(times=2, after_seconds=5)
    requested.put("job", twice)
    assert requested.draw("job", 4.9) is None
    assert requested.draw("job", 5.0) == twice
    assert requested.get("job")["times"] == 1
    assert requested.draw("job", 6.0) is not None
    assert requested.draw("job", 7.0) is None
    assert (requested.get("job")["times"], requested.get("job")["interrupted"]) == (0, 2)


@pytest.mark.parametrize(
    ("job", "hit"), [("scones", True), ("scones-2026", True), ("scones2-2026", False), ("x", False)]
)
def test_draw_matches_name_and_prefix(job, hit):
    requested = Interruptions()
    requested.put("scones", Interruption())
    assert (requested.draw(job, 0.0) is not None) is hit


def test_draw_with_two_matching_names_uses_both():
    requested = Interruptions()
    requested.put("a", Interruption())
    requested.put("a-b", Interruption())
    assert requested.draw("a-b", 0.0) is not None
    assert requested.draw("a-b", 0.0) is not None
    assert requested.draw("a-b", 0.0) is None


def test_clear_ends_interruptions_and_resets_the_count():
    requested = Interruptions()
    requested.put("job", Interruption())
    requested.draw("job", 0.0)
    requested.put("job", Interruption())
    assert requested.get("job")["interrupted"] == 1
    requested.clear("job")
    assert requested.draw("job", 0.0) is None
    assert (requested.get("job")["times"], requested.get("job")["interrupted"]) == (0, 0)
