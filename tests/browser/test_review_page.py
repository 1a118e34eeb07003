"""The review page in a real browser, with a real server, queue, table and buckets behind it.

REVIEW_PICTURES=300 lets the long test decide so many; screenshots are in reports/review/.
"""

import io
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from common.settings import ROOT
from operations.review import private_page
from tests.browser.conftest import DESKTOP, PHONE, WIDTHS
from tests.browser.review_stack import HOLD_SECONDS, ReviewStack, make_stack
from tests.integration.laptop_aws import run_laptop_aws, wait_until
from tests.integration.review_server import ReviewServer, review_server
from tests.unit.operations.captures import drawn
from training.sources.synthetic import draw_picture

SHOTS = ROOT / "reports/review"
MANY = int(os.environ.get("REVIEW_PICTURES", "40"))
PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReviewStack]:
    with run_laptop_aws(tmp_path_factory.mktemp("aws")) as aws:
        yield make_stack(aws)


@pytest.fixture
def empty(stack: ReviewStack) -> ReviewStack:
    stack.clear()
    return stack


@pytest.fixture
def server(empty: ReviewStack) -> Iterator[ReviewServer]:
    with review_server(empty.aws, "--reviewer", "ada") as started:
        yield started


def photo() -> bytes:
    stream = io.BytesIO()
    draw_picture("bicycle", 1, (320, 240), 7).save(stream, "PNG")
    return stream.getvalue()


def open_page(watched: Any, address: str, size: Any = DESKTOP, scheme: str = "light") -> Any:
    seen = watched(size, scheme, address)
    seen.page.set_default_timeout(1000 * PATIENCE_SECONDS)
    return seen


@pytest.fixture
def visit(empty: ReviewStack, server: ReviewServer, watched: Any) -> Iterator[Any]:
    """Return a function that asks about pictures and opens the page, which has no errors and fits at the end."""
    visits = []

    def ask_and_open(*names: str, content: bytes = b"", size: Any = DESKTOP, scheme: str = "light", **more: Any) -> Any:
        for number, name in enumerate(names):
            empty.ask(name, content or drawn(number), **more)
        visits.append(open_page(watched, server.address, size, scheme))
        if names:
            wait_for_picture(visits[-1].page)
        return visits[-1]

    yield ask_and_open
    for seen in visits:
        assert (seen.complaints, seen.foreign(), seen.too_wide()) == ([], [], [])


def on_page(page: Any) -> str:
    """Return the key of the picture on the page, "" for none."""
    return str(
        page.evaluate(
            """() => document.getElementById('frame').hidden ? ''
                : document.getElementById('place').textContent.split(' · ')[0]"""
        )
    )


def wait_for_picture(page: Any, other_than: str = "") -> str:
    # Not Playwright's wait_for_function, whose eval the page's Content-Security-Policy refuses.
    return wait_until(lambda: {on_page(page)} - {"", other_than}, PATIENCE_SECONDS).pop()


@contextmanager
def changed(page: Any, counter: str = "data-views") -> Iterator[None]:
    """Wait at the end until the page has counted another view, or another act of the reviewer."""
    review = page.locator("#review")
    before = review.get_attribute(counter)
    yield
    wait_until(lambda: review.get_attribute(counter) != before, PATIENCE_SECONDS)


def press(page: Any, key: str) -> None:
    """Press a key and wait until its action is done and shown."""
    with changed(page, "data-acts"):
        page.keyboard.press(key)


def wait_for_view(page: Any) -> None:
    """Wait until the page has shown another answer of the server."""
    with changed(page):
        pass


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_picture_is_large_and_has_its_facts(visit, width, scheme):
    seen = visit("camera-3-2026-11-23T07-12-45", content=photo(), size=WIDTHS[width], scheme=scheme)
    page = seen.page
    page.get_by_text("About 1 left").wait_for()
    image = page.locator("#picture img")
    assert image.bounding_box()["width"] >= 0.85 * min(WIDTHS[width]["width"], 960) - 60
    assert image.evaluate("image => image.naturalWidth") == 320
    alt = image.get_attribute("alt")
    assert "inbox/camera-3-2026-11-23T07-12-45.png, 320 by 240 pixels" in alt
    assert "guess: bicycle, confidence 62.5 % (threshold 90.0 %)." in alt
    assert page.locator("#guess").text_content() in alt
    buttons = [text.split() for text in page.locator("#answers button").all_text_contents()]
    assert buttons == [["1", "bicycle", "62.5", "%"], ["2", "motorcycle", "37.5", "%"]]
    assert "You decide as ada" in page.locator("#who").text_content()
    assert page.locator("h1, h2, h3").all_text_contents() == ["Which vehicle is it?"]
    assert page.locator("#undo").get_attribute("aria-disabled") == "true"
    seen.screenshot(SHOTS / f"picture-{width}-{scheme}.png")
    if width == "phone":  # all buttons without scrolling, and large enough for a finger
        for button in page.locator("button").all():
            box = button.bounding_box()
            assert box["y"] + box["height"] <= PHONE["height"]
            assert box["height"] >= 44


def test_private_page_redirects_to_the_review(empty, server, watched):
    empty.ask("by-file", drawn(1))
    seen = watched(DESKTOP, "light")
    with private_page(server.address) as path:
        seen.page.goto(path.as_uri())
        seen.page.wait_for_url(server.address)
    assert wait_for_picture(seen.page) == "inbox/by-file.png"
    press(seen.page, "1")
    assert empty.labels()["inbox/by-file.png"]["label"] == "bicycle"
    assert (seen.complaints, seen.foreign()) == ([], [])


def test_small_picture_is_enlarged_without_smoothing(visit):
    seen = visit("small", content=drawn(2))
    image = seen.page.locator("#picture img")
    assert image.evaluate("image => getComputedStyle(image).imageRendering") == "pixelated"
    assert image.bounding_box()["height"] > 250
    seen.screenshot(SHOTS / "small-desktop-light.png")


@pytest.mark.parametrize("width", WIDTHS)
def test_empty_queue_is_shown_and_polled_again(empty, visit, width):
    seen = visit(size=WIDTHS[width])
    seen.page.get_by_text("No pictures wait").wait_for()
    seen.screenshot(SHOTS / f"nothing-{width}-light.png")
    empty.ask("late", drawn(3))
    assert wait_for_picture(seen.page) == "inbox/late.png"


def test_keys_decide_skip_and_undo(empty, server, watched):
    for number in range(4):
        empty.ask(f"key-{number}", drawn(number))
    seen = open_page(watched, server.address)
    page = seen.page
    first = wait_for_picture(page)

    press(page, "2")
    assert empty.labels()[first]["label"] == "motorcycle"
    assert page.locator("#undo-text").text_content() == "undo motorcycle"
    second = on_page(page)
    assert second not in {"", first}

    press(page, "u")
    assert (on_page(page), empty.labels()) == (first, {})
    assert empty.items()[first]["outcome"]["S"] == "review"

    press(page, "n")
    assert empty.labels()[first]["label"] == "neither"
    press(page, "s")
    third = wait_for_picture(page, other_than=second)
    assert page.locator("#undo-text").text_content() == "undo skip"
    for key in ("9", "x", "Control+1", "Tab", "3"):  # do nothing
        page.keyboard.press(key)
    press(page, "1")
    fourth = wait_for_picture(page, other_than=third)
    press(page, "1")
    assert len({first, second, third, fourth}) == 4
    labels = {key: label["label"] for key, label in empty.labels().items()}
    assert labels == {first: "neither", third: "bicycle", fourth: "bicycle"}
    assert seen.complaints == []
    server.stop()
    assert empty.waiting() == 1  # the skipped one, which is hidden for a while


@pytest.mark.parametrize("key", ["1", "Enter", " "])
def test_held_down_key_decides_one_picture(empty, visit, key):
    page = visit(*(f"held-{number}" for number in range(4))).page
    first = on_page(page)
    page.locator("#neither").focus()  # which Enter and the space bar press
    with changed(page, "data-acts"):
        for _ in range(20):  # Playwright repeats a key that is down already, as a keyboard does
            page.keyboard.down(key)
        if key == " ":
            page.keyboard.up(key)  # the space bar presses a button when it is let go
    second = wait_for_picture(page, other_than=first)
    wait_for_view(page)  # so that what the last of them asked for would be done
    for _ in range(5 if key != " " else 0):
        page.keyboard.down(key)
        wait_for_view(page)
    page.keyboard.up(key)
    wait_for_view(page)
    assert list(empty.labels()) == [first]
    assert on_page(page) == second


@pytest.mark.parametrize("button", ["#answers button", "#neither", "#skip"])
def test_double_click_decides_one_picture(empty, visit, button):
    page = visit(*(f"double-{number}" for number in range(4))).page
    first = on_page(page)
    box = page.locator(button).first.bounding_box()
    center = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    with changed(page, "data-acts"):
        page.mouse.click(*center)
    second = wait_for_picture(page, other_than=first)
    for count in (2, 3):  # quickly, as the browser counts it
        page.mouse.down(click_count=count)
        page.mouse.up(click_count=count)
        wait_for_view(page)
    assert on_page(page) == second
    assert list(empty.labels()) == ([] if button == "#skip" else [first])
    page.locator("#undo").click()
    assert wait_for_picture(page, other_than=second) == first
    assert empty.labels() == {}


def test_every_button_is_reached_with_tab(empty, visit):
    page = visit("tab").page
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent.trim().split(' ')[0]"))
    assert reached == ["1", "2", "n", "s", "u"]
    page.locator("#answers button").first.focus()
    press(page, "Enter")
    assert empty.labels()["inbox/tab.png"]["label"] == "bicycle"


def test_damaged_picture_can_be_decided_as_neither(empty, visit):
    seen = visit("broken", content=b"not a picture", size=PHONE)
    assert "The picture cannot be shown. It cannot be decoded" in seen.page.inner_text("#picture")
    seen.screenshot(SHOTS / "broken-phone-light.png")
    press(seen.page, "n")
    assert empty.labels()["inbox/broken.png"]["label"] == "neither"


@pytest.mark.parametrize("width", WIDTHS)
def test_refused_picture_can_only_be_skipped(empty, visit, width):
    key = empty.ask("glacier", photo(), storage="GLACIER")
    seen = visit("next", size=WIDTHS[width])
    page = seen.page
    while wait_for_picture(page) != key:
        press(page, "s")
    assert "S3 refuses it (InvalidObjectState" in page.inner_text("#picture")
    assert "Skip it, and inform" in page.inner_text("#picture")
    assert page.locator("#answers button").count() == 0
    assert page.locator("#neither").get_attribute("aria-disabled") == "true"
    seen.screenshot(SHOTS / f"refused-{width}-light.png")
    for nothing in ("1", "n"):
        page.keyboard.press(nothing)
    page.locator("#neither").click(force=True)
    press(page, "s")
    assert empty.labels() == {}


def test_picture_that_does_not_load_can_only_be_skipped(empty, server, watched):
    key = empty.ask("unloaded", drawn(1))
    page = watched(PHONE, "light").page
    page.route("**/pictures/*", lambda route: route.abort())
    page.goto(server.address)
    assert wait_for_picture(page) == key
    assert "could not be loaded. Reload this page, or skip it" in page.inner_text("#picture")
    for nothing in ("1", "n"):
        page.keyboard.press(nothing)
    page.unroute("**/pictures/*")
    page.reload()
    wait_until(lambda: page.locator("#picture img").count(), PATIENCE_SECONDS)
    press(page, "n")
    assert empty.labels()[key]["label"] == "neither"


@pytest.mark.parametrize("body", ["{", "<p>from a proxy</p>"])
def test_damaged_answer_is_shown_and_the_page_recovers(empty, server, watched, body):
    empty.ask("broken-off", drawn(1))
    seen = watched(DESKTOP, "light")
    page = seen.page
    page.route("**/poll", lambda route: route.fulfill(body=body, content_type="application/json"))
    page.goto(server.address)
    page.get_by_text("The server does not answer").wait_for()
    page.unroute("**/poll")
    assert wait_for_picture(page) == "inbox/broken-off.png"  # it polls again by itself
    wait_until(lambda: page.locator("#error").is_hidden(), PATIENCE_SECONDS)
    page.route("**/decide", lambda route: route.fulfill(body=body, content_type="application/json"))
    press(page, "1")
    assert "The server does not answer" in page.inner_text("#error")
    page.unroute("**/decide")
    press(page, "1")
    assert page.locator("#error").is_hidden()
    assert seen.complaints == []


def test_names_are_escaped(visit):
    name = "<img src=x onerror=alert(1)>"
    seen = visit(name, size=PHONE, class_names=["<b>bicycle</b>", "x" * 80], inferences=None)
    assert on_page(seen.page) == f"inbox/{name}.png"
    assert "<b>bicycle</b>" in seen.page.inner_text("#answers")
    assert seen.page.locator("#review b, #place img").count() == 0


def test_many_classes_have_buttons_and_nine_have_keys(empty, visit):
    names = [f"class-{number}" for number in range(1, 13)]
    seen = visit("classes", size=PHONE, scheme="dark", class_names=names, inferences=[1 / 12] * 12)
    assert seen.page.locator("#answers kbd").count() == 9
    seen.screenshot(SHOTS / "classes-phone-dark.png")
    seen.page.get_by_role("button", name="class-12").click()
    wait_until(lambda: empty.labels() or None, PATIENCE_SECONDS)
    assert empty.labels()["inbox/classes.png"]["label"] == "class-12"


def test_earlier_decision_of_another_reviewer_is_shown(empty, server, watched):
    empty.ask("twice", drawn(1))
    mine = open_page(watched, server.address).page
    key = wait_for_picture(mine)
    with review_server(empty.aws, "--reviewer", "bob") as other:  # which got it as a second message
        empty.ask_again(key)
        [asked] = wait_until(lambda: other.post("poll")["pictures"] or None, PATIENCE_SECONDS)
        other.post("decide", picture=asked["id"], answer="motorcycle")
        press(mine, "1")
        assert "bob was first, and decided motorcycle." in mine.inner_text("#note")
        other.stop()
    assert empty.labels()[key]["label"] == "motorcycle"
    server.stop()
    assert empty.waiting() == 0


def test_closed_tab_gives_its_pictures_back(empty, server, watched):
    keys = {empty.ask(f"tab-{number}", drawn(number)) for number in range(2)}
    first = open_page(watched, server.address)
    wait_for_picture(first.page)
    page = open_page(watched, server.address).page
    page.get_by_text("No pictures wait").wait_for()
    first.page.close(run_before_unload=True)
    got = wait_for_picture(page)
    press(page, "1")
    assert {got, wait_for_picture(page, other_than=got)} == keys


def test_open_page_keeps_its_picture(empty, visit):
    page = visit("kept").page
    key = on_page(page)
    with review_server(empty.aws, "--reviewer", "bob") as other:
        deadline = time.monotonic() + 1.5 * HOLD_SECONDS
        while time.monotonic() < deadline:
            assert other.post("poll")["pictures"] == []
    assert on_page(page) == key


def test_two_pages_and_a_server_killed_twice_lose_nothing(empty, watched):
    # GIVEN many pictures in review, whose names say what they show
    keyboard = {"bicycle": "1", "motorcycle": "2", "neither": "n"}
    wanted = {}
    for number in range(MANY):
        vehicle = list(keyboard)[number % 3]
        wanted[empty.ask(f"{vehicle}-{number:04d}", drawn(number))] = vehicle
    pages = [open_page(watched, "about:blank").page for _ in range(2)]
    pressed = dict.fromkeys(pages, 0)

    def is_done(kill_at: int | None) -> bool:
        if kill_at:
            return sum(pressed.values()) >= kill_at
        return not any(map(on_page, pages)) and len(empty.labels()) == MANY

    # WHEN two people decide at once, and the server is killed twice in the middle
    for kill_at in (MANY // 3, 2 * MANY // 3, None):
        with review_server(empty.aws, "--reviewer", "ada") as server:
            for page in pages:
                page.goto(server.address)
            latest = dict.fromkeys(pages, "")  # the picture that a key was pressed for on each page
            deadline = time.monotonic() + 120 + 3 * MANY
            while not is_done(kill_at):
                assert time.monotonic() < deadline, f"{len(empty.labels())} of {MANY} are decided"
                for page in pages:
                    key = on_page(page)
                    if key not in {"", latest[page]}:
                        latest[page] = key
                        pressed[page] += 1
                        page.keyboard.press(keyboard[wanted[key]])
            if kill_at is None:
                server.stop()

    # THEN each picture has its label and its record, and the queue is empty
    labels, items = empty.labels(), empty.items()
    assert {key: label["label"] for key, label in labels.items()} == wanted
    assert {key: items[key]["label"]["S"] for key in wanted} == wanted
    assert {items[key]["outcome"]["S"] for key in wanted} == {"reviewed"}
    assert {items[key]["decided_at"]["S"] == labels[key]["decided_at"] for key in wanted} == {True}
    assert empty.waiting() == 0
    # AND at most one picture of each page was asked twice for each kill
    assert MANY <= sum(pressed.values()) <= MANY + 2 * len(pages)
    assert min(pressed.values()) > MANY / 10
