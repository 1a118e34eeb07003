"""The notebook has no logic and no outputs; where it runs is decided before it starts anything."""

import ast
import os
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from PIL import Image

from common.settings import ROOT
from demo import walkthrough
from demo.session import CommandFailedError
from demo.walkthrough import (
    CostsNotAgreedError,
    Place,
    PlaceUnknownError,
    begin,
    done,
    embedded,
    samples,
)
from local.control import Running

NOTEBOOK: Any = nbformat.read(ROOT / "notebooks/walkthrough.ipynb", nbformat.NO_CONVERT)
CODE = {cell.id: cell for cell in NOTEBOOK.cells if cell.cell_type == "code"}
WORDS = "\n".join(cell.source for cell in NOTEBOOK.cells if cell.cell_type == "markdown")
LINES_OF_A_CELL = 10
# What thinks for itself.
LOGIC = (
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.comprehension,
    ast.For,
    ast.FunctionDef,
    ast.If,
    ast.IfExp,
    ast.Lambda,
    ast.Match,
    ast.Try,
    ast.While,
    ast.With,
)


def test_it_is_a_notebook():
    nbformat.validate(NOTEBOOK)
    assert len(CODE) > 10


@pytest.mark.parametrize("name", CODE)
def test_a_cell_is_committed_as_it_is_before_a_run(name):
    assert CODE[name].execution_count is None
    assert CODE[name].outputs == []
    assert CODE[name].metadata == {}


@pytest.mark.parametrize("name", CODE)
def test_a_cell_only_calls(name):
    source = CODE[name].source
    found = [type(node).__name__ for node in ast.walk(ast.parse(source)) if isinstance(node, LOGIC)]
    assert not found
    assert len(source.splitlines()) <= LINES_OF_A_CELL


def test_every_step_of_the_story_is_in_it_in_order():
    steps = [line for line in WORDS.splitlines() if line.startswith("## ")]
    assert [step.split(". ")[0] for step in steps] == [f"## {n}" for n in range(1, len(steps) + 1)]
    source = "\n".join(cell.source for cell in CODE.values())
    calls = [
        "stage_data.main",
        "samples(",
        "create_endpoint.main",
        "draw(definition",
        '"build"',
        '"deploy"',
        "send_pictures.main",
        "path=read_path(",
        "evaluate.main",
        "monitor.main",
        "cleanup.main",
        '"delete"',
    ]
    places = [source.index(call) for call in calls]
    assert places == sorted(places)


def test_every_status_is_looked_at():
    for name, cell in CODE.items():
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                assert ast.unparse(node.value.func).rpartition(".")[2] != "main", name


def test_every_file_that_it_names_is_there():
    for path in re.findall(r"\]\(\.\./([^)#]+)\)", WORDS):
        assert (ROOT / path).exists(), path


@pytest.fixture
def laptop(monkeypatch, tmp_path):
    """An environment without AWS, and a laptop's AWS that notes what is done with it."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", os.environ["PATH"])  # begin changes it
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.chdir(ROOT / "notebooks")
    done_to_it: list[Any] = []
    running: list[Running] = []

    def start(port: int, state: Path) -> tuple[Running, bool]:
        done_to_it.append(("start", port))
        return Running(1, port, str(state)), True

    monkeypatch.setattr(walkthrough, "start", start)
    monkeypatch.setattr(walkthrough, "stop", lambda _: done_to_it.append("stop"))
    monkeypatch.setattr(walkthrough, "find_running", lambda _: next(iter(running), None))
    return done_to_it, running


def test_without_aws_it_starts_the_laptops_and_stops_it_at_the_end(laptop, capsys):
    done_to_it, _ = laptop
    place = begin(port=4720)
    assert place == Place("laptop", started=True)
    assert os.environ["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4720"
    assert Path.cwd() == ROOT
    assert str(Path(sys.executable).parent) in os.environ["PATH"].split(os.pathsep)
    assert "costs nothing" in capsys.readouterr().out
    place.leave()
    assert done_to_it == [("start", 4720), "stop"]


def test_a_laptops_aws_that_runs_is_used_and_left_running(laptop):
    done_to_it, running = laptop
    running.append(Running(1, 4725, "state"))
    place = begin(port=4720)
    assert os.environ["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4725"
    place.leave()
    assert done_to_it == []


def test_what_the_environment_points_at_is_used_as_it_is(laptop, capsys):
    done_to_it, _ = laptop
    os.environ["AWS_ENDPOINT_URL"] = "http://127.0.0.1:4721"
    assert begin() == Place("laptop")
    assert "http://127.0.0.1:4721" in capsys.readouterr().out
    assert done_to_it == []


def test_credentials_alone_do_not_spend_money(laptop):
    done_to_it, _ = laptop
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    with pytest.raises(CostsNotAgreedError, match=r"0\.115 USD an hour, 84 a month.*PLACE = \"aws"):
        begin()
    assert done_to_it == []
    assert "AWS_ENDPOINT_URL" not in os.environ


def test_on_aws_it_says_what_it_costs_before_it_does_anything(laptop, capsys):
    done_to_it, _ = laptop
    place = begin("aws")
    assert place == Place("aws")
    said = capsys.readouterr().out
    assert "0.115 USD an hour" in said
    assert "0.23 USD an hour" in said
    place.leave()
    assert done_to_it == []


def test_the_laptop_can_be_asked_for_despite_credentials(laptop):
    os.environ |= {"AWS_ACCESS_KEY_ID": "mine", "AWS_PROFILE": "mine"}
    assert begin("laptop", 4720).name == "laptop"
    assert os.environ["AWS_ACCESS_KEY_ID"] == "test"
    assert "AWS_PROFILE" not in os.environ


def test_a_place_that_there_is_not_is_an_error(laptop):
    with pytest.raises(PlaceUnknownError, match='PLACE = "moon"'):
        begin("moon")


def test_a_command_that_failed_ends_the_run():
    done(0)
    with pytest.raises(CommandFailedError, match="status 3"):
        done(3)


@pytest.mark.parametrize(("name", "part"), [("aws", "default"), ("laptop", "local")])
def test_sam_gets_the_part_of_its_place(name, part, monkeypatch, tmp_path, capsys):
    sam = tmp_path / "sam"
    sam.write_text('#!/bin/sh\necho "called with $*"\nexit $FAILS\n')
    sam.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAILS", "0")
    Place(name).sam("deploy", "--x")
    assert f"called with deploy --x --config-env {part}\n" in capsys.readouterr().out
    monkeypatch.setenv("FAILS", "2")
    with pytest.raises(CommandFailedError, match="status 2"):
        Place(name).sam("deploy")


def test_samples_are_the_first_of_each_class_with_words(tmp_path):
    for kind in ("<b>", "car"):
        (tmp_path / kind).mkdir()
        for number in range(3):
            Image.new("RGB", (8, 8)).save(tmp_path / kind / f"{number}.png")
    (tmp_path / "manifest.json").touch()
    shown = samples(tmp_path, each=2)
    assert shown.count("<img ") == 4
    assert 'alt="1.png of class car"' in shown
    assert "<strong>&lt;b&gt;</strong>" in shown
    assert "2.png" not in shown


def test_a_page_is_shown_in_a_frame_of_its_own(tmp_path):
    page = tmp_path / "monitor.html"
    page.write_text('<p class="a">A & B</p>', encoding="utf-8")
    shown = embedded(page, height=300)
    assert 'srcdoc="&lt;p class=&quot;a&quot;&gt;A &amp; B&lt;/p&gt;"' in shown
    assert 'height="300"' in shown
