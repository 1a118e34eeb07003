"""The monitoring page in a browser: its figures are those of monitor.json, on a phone and a desktop."""

import json
import re
from datetime import timedelta

import pytest

from operations.monitor import main
from tests.browser.conftest import DESKTOP, PHONE, WIDTHS
from tests.unit.operations.captures import BEGIN, drawn, line, named, write


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report of two days with drift, damaged lines and refused calls."""
    folder = tmp_path_factory.mktemp("monitor")
    for name, shift in (("usual", 0), ("now", 0.12)):
        for hour in range(30):
            lines = []
            for call in range(10):
                number = hour * 10 + call
                confidence = 0.99 - shift - 0.4 * (number * 37 % 300) / 300
                bicycle = confidence if number % (3 if shift else 2) else 1 - confidence
                time = BEGIN + timedelta(hours=hour, minutes=6 * call)
                lines.append(line(named(bicycle=bicycle, motorcycle=1 - bicycle), drawn(number % 60), time))
            if shift and hour % 10 == 0:
                lines += [b'{"captureData":\n', b"<html>\n"]
                lines.append(line(b'{"code": 400, "type": "BadRequest", "message": "a GIF"}'))
            write(folder / name, lines, BEGIN + timedelta(hours=hour))
    options = ["--captures", str(folder / "now"), "--baseline-captures", str(folder / "usual")]
    assert main([*options, "--threshold", "0.8", "--out", str(folder / "out")]) == 0
    return folder / "out"


@pytest.fixture(scope="module")
def address(report):
    return (report / "monitor.html").as_uri()


@pytest.fixture(scope="module")
def figures(report):
    return json.loads((report / "monitor.json").read_text())


def table(page, region):
    rows = page.get_by_role("region", name=region).locator("tbody tr")
    return [row.locator("th, td").all_inner_texts() for row in rows.all()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_page_fits_any_width(address, watched, width, scheme):
    watched(WIDTHS[width], scheme, address).check()


def test_tiles_and_tables_show_the_figures(address, figures, watched):
    seen = watched(DESKTOP, address=address)

    names = seen.page.locator(".tiles dt").all_inner_texts()
    values = seen.page.locator(".tiles dd").all_inner_texts()
    tiles = dict(zip(names, values, strict=True))
    assert tiles["Predictions"].split("\n") == [
        f"{figures['predictions']:,}",
        f"of {figures['lines']:,} lines in {figures['files']:,} files",
    ]
    assert tiles["Mean confidence"].startswith(f"{figures['mean_confidence']:.3f}")
    assert f"median {figures['median_confidence']:.3f}" in tiles["Mean confidence"]
    assert tiles["Coverage"].startswith(f"{figures['coverage']:.1%}")
    assert f"{figures['accepted']:,} accepted from 0.8 on" in tiles["Coverage"]
    assert tiles["Damaged lines"].startswith(f"{figures['damaged']:,}")
    assert f"{figures['refused']:,} calls refused" in tiles["Damaged lines"]
    assert tiles["Drift"].startswith("yes")
    assert figures["drift"]["drifted"] is True
    classes = {name: rest for name, *rest in table(seen.page, "Figures of each class")}
    assert classes == {
        name: [
            f"{facts['predictions']:,}",
            f"{facts['share']:.1%}",
            f"{facts['accepted']:,}",
            f"{facts['mean_confidence']:.3f}",
        ]
        for name, facts in figures["class_figures"].items()
    }
    drift = {row[0].removeprefix("▲ "): row for row in table(seen.page, "What was compared")}
    assert set(drift) == {feature["name"] for feature in figures["drift"]["features"]}
    for feature in figures["drift"]["features"]:
        row = drift[feature["name"]]
        assert row[0].startswith("▲") is feature["drifted"]
        assert row[1] == feature["verdict"]
        assert row[4] == ("-" if feature["effect"] is None else f"{feature['effect']:.2f}")
    damaged = table(seen.page, "Damaged lines")
    assert [(row[0], int(row[1]), row[2]) for row in damaged] == [
        (each["file"], each["line"], each["reason"]) for each in figures["damaged_lines"]
    ]
    assert figures["damaged"] == len(damaged) == 6
    sentence = seen.page.get_by_text("lines =").inner_text()
    lines, predictions, damaged_count, refused, outside = map(int, re.findall(r"\d+", sentence)[:5])
    assert lines == predictions + damaged_count + refused + outside == figures["lines"]


def test_pictures_and_charts_are_shown_with_texts(address, figures, watched):
    seen = watched(PHONE, address=address)

    pictures = seen.page.locator(".pictures img")
    shown = [*figures["pictures"]["lowest"], *figures["pictures"]["random"]]
    assert pictures.count() == len(shown) == 48
    for position, facts in enumerate(shown):
        text = pictures.nth(position).get_attribute("alt") or ""
        assert text.startswith(f"{facts['label']} at confidence {facts['confidence']:.3f}")
    charts = [c.get_attribute("alt") for c in seen.page.locator("figure img").all()]
    medians = [period["median"] for period in figures["periods"]]
    assert any(f"{min(medians):.3g} and {max(medians):.3g}" in (alt or "") for alt in charts)
    for name, facts in figures["class_figures"].items():
        assert any(f"of the {facts['predictions']} answers {name}:" in (alt or "") for alt in charts)


NO_CALL = "No call in the requested period has been captured."
NOTHING = "Nothing has been captured yet."


@pytest.mark.parametrize(("folder", "shown", "hidden"), [("now", NO_CALL, NOTHING), ("empty", NOTHING, NO_CALL)])
@pytest.mark.parametrize("width", WIDTHS)
def test_report_without_calls_says_why(report, tmp_path, watched, width, folder, shown, hidden):
    captures = report.parent / folder
    captures.mkdir(exist_ok=True)
    options = ["--baseline", "none", "--from", "2026-11-25", "--out", str(tmp_path)]
    assert main(["--captures", str(captures), *options]) == 0

    seen = watched(WIDTHS[width], address=(tmp_path / "monitor.html").as_uri())

    assert seen.page.get_by_text(shown).is_visible()
    assert not seen.page.get_by_text(hidden).is_visible()
    seen.check()
