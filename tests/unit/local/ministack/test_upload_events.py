from local.ministack.upload_events import Duplicates, DuplicatesSetting


def test_draw_with_seed_repeats_the_same_share():
    duplicates = Duplicates()
    draws = []
    for _ in range(2):
        duplicates.put(DuplicatesSetting(0.1, 0.5, seed=7))
        draws.append([duplicates.draw() for _ in range(1000)])
    assert draws[0] == draws[1]
    assert set(draws[0]) == {None, 0.5}
    assert 70 <= sum(delay is not None for delay in draws[0]) <= 130
    counts = duplicates.get()
    assert (counts["events"], counts["sent_twice"]) == (2000, 2 * (1000 - draws[0].count(None)))


def test_clear_ends_duplicates_and_resets_counts():
    duplicates = Duplicates()
    duplicates.put(DuplicatesSetting(1.0))
    assert duplicates.draw() == 0.0
    duplicates.clear()
    assert duplicates.draw() is None
    assert duplicates.get() == {"duplicates": 0.0, "delay_seconds": 0.0, "seed": None, "events": 1, "sent_twice": 0}
