"""The pictures of the workflow in a browser, with its fonts."""

import pytest
from PIL import Image

from common.settings import ROOT
from operations.workflow_drawing import draw
from operations.workflow_drawing.execution import Failure
from operations.workflow_drawing.states import END, START
from tests.browser.conftest import DESKTOP, PHONE
from tests.unit.operations.workflow_drawing.builders import ACCEPTED, BATCH, CYCLE, SINGLE, failed_step, path_of

PAPER = {"light": (0xFF, 0xFF, 0xFF), "dark": (0x0D, 0x11, 0x17)}  # of the drawing's background
CONTRAST = 4.5  # of letters against what is behind them, WCAG 2.2 AA

# For every text in a state or a label: how far it exceeds the shape around it, in pixels.
OVERFLOW = """() => {
    const found = [];
    for (const node of document.querySelectorAll('.wf-state, .wf-label')) {
        const f = node.querySelector(':scope > polygon, :scope > path, :scope > ellipse').getBoundingClientRect();
        for (const text of node.querySelectorAll(':scope > text')) {
            const t = text.getBoundingClientRect();
            const out = Math.max(f.left - t.left, t.right - f.right, f.top - t.top - 1, t.bottom - f.bottom - 1);
            if (out > 0) found.push([node.dataset.state ?? 'label', text.textContent, out]);
        }
    }
    return found;
}"""
# For every text: its color, and that of the last filled shape drawn behind it.
COLORS = """() => {
    const svg = document.querySelector('svg.wf');
    const drawn = [...svg.querySelectorAll('polygon, path, ellipse, text')];
    return drawn.filter(e => e.tagName === 'text' && e.textContent.trim()).map(text => {
        const t = text.getBoundingClientRect(), x = (t.left + t.right) / 2, y = (t.top + t.bottom) / 2;
        const behind = drawn.slice(0, drawn.indexOf(text)).filter(shape => {
            const b = shape.getBoundingClientRect();
            return shape.tagName !== 'text' && b.left <= x && x <= b.right && b.top <= y && y <= b.bottom
                && !['none', 'transparent'].includes(shape.getAttribute('fill')) && !shape.closest('.wf-arrow');
        });
        return [getComputedStyle(text).fill, getComputedStyle(behind.at(-1)).fill];
    });
}"""


def failed_path():
    """Return a long path with long texts, of which every step around the cycle failed."""
    names = [*ACCEPTED, *CYCLE * 12, CYCLE[0], "Notify Failure", "Workflow Failed"]
    failure = Failure("DynamoDB.ProvisionedThroughputExceededException", "too many requests " * 20)
    text = {"input": '{"s3_bucket": "scones-pictures", "s3_key": "inbox/' + "a" * 400 + '.png"}'}
    changes = dict.fromkeys(names, text)
    changes |= dict.fromkeys([CYCLE[0], *names[-2:]], text | failed_step(failure, 6))
    return path_of(*names, changes=changes, status="FAILED", failure=failure)


PICTURES = {
    "plain": lambda: draw(SINGLE),
    "batch": lambda: draw(BATCH),
    "counts": lambda: draw(SINGLE, counts=dict.fromkeys(SINGLE.pairs, 123_456)),
    "batch-counts": lambda: draw(BATCH, counts=dict.fromkeys(BATCH.pairs, 1_234)),
    "few-counts": lambda: draw(SINGLE, counts={(START, "Locate Picture"): 7, ("Locate Picture", END): 7}),
    "path": lambda: draw(SINGLE, path=failed_path(), steps=True),
}


@pytest.fixture(params=PICTURES)
def picture(request):
    return request.param, PICTURES[request.param]()


def in_page(tmp_path, svg):
    css = (ROOT / "common" / "pages" / "style.css").read_text()
    page = tmp_path / "page.html"
    page.write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>t</title>'
        '<meta name="viewport" content="width=device-width">'
        f'<link rel="icon" href="data:,"><style>{css}</style><h1>Workflow</h1>'
        '<div class="scrolls" tabindex="0" role="region" aria-label="workflow">'
        f"{svg}</div></html>"
    )
    return page.as_uri()


def luminance(color):
    def linear(value):
        share = value / 255
        return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4

    red, green, blue = (int(part) for part in color[4:-1].split(","))
    return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)


def contrast(one, two):
    dark, light = sorted((luminance(one), luminance(two)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_texts_fit_their_shapes_and_have_contrast(tmp_path, watched, picture, size, scheme):
    name, svg = picture
    opened = watched(size, scheme, in_page(tmp_path, svg))
    opened.screenshot(tmp_path / f"{name}-{size['width']}-{scheme}.png")
    assert opened.page.evaluate(OVERFLOW) == []
    colors = {tuple(pair) for pair in opened.page.evaluate(COLORS)}
    assert colors
    assert {(one, two) for one, two in colors if contrast(one, two) < CONTRAST} == set()
    opened.check()


def test_picture_has_an_accessible_name_and_description(tmp_path, watched):
    opened = watched(address=in_page(tmp_path, draw(SINGLE)))
    found = opened.page.get_by_role("img", name="The state machine MyStateMachine", exact=True)
    found.wait_for(timeout=5000)
    described = opened.page.evaluate("() => document.querySelector('svg.wf > desc').textContent")
    for transition in SINGLE.transitions:
        assert f"{transition.source} " in described


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_picture_in_a_readme_keeps_its_colors_and_fits(tmp_path, watched, scheme):
    page = tmp_path / "readme.html"
    page.write_text(
        '<!doctype html><link rel="icon" href="data:,">'
        '<body style="width:800px;margin:0;background:#008080">'  # no color of the picture
        f'<img style="max-width:100%" src="{(ROOT / "docs" / "workflow.svg").as_uri()}">'
    )
    opened = watched(DESKTOP, scheme, page.as_uri())
    image = opened.page.locator("img")
    natural = image.evaluate("e => [e.complete, e.naturalWidth, e.naturalHeight]")
    assert natural[0]
    assert 400 < natural[1] <= 900
    box = image.bounding_box()
    assert box["width"] / natural[1] > 0.87  # letters of 12 pixels stay above 10
    shot = tmp_path / f"readme-{scheme}.png"
    opened.screenshot(shot)
    with Image.open(shot) as seen:
        corner = seen.convert("RGB").getpixel((8, 8))  # inside of the rounded corner
    assert corner == PAPER[scheme]
    assert opened.foreign() == []
