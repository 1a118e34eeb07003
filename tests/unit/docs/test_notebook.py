"""The notebook has neither logic nor outputs, and decides where it runs before it starts anything."""

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


def test_notebook_is_valid():
    nbformat.validate(NOTEBOOK)
    assert len(CODE) > 10


@pytest.mark.parametrize("name", CODE)
def test_cell_is_committed_without_output(name):
    assert CODE[name].execution_count is None
    assert CODE[name].outputs == []
    assert CODE[name].metadata == {}


@pytest.mark.parametrize("name", CODE)
def test_cell_contains_calls_only(name):
    source = CODE[name].source
    found = [type(node).__name__ for node in ast.walk(ast.parse(source)) if isinstance(node, LOGIC)]
    assert not found
    assert len(source.splitlines()) <= LINES_OF_A_CELL


def test_steps_are_numbered_and_in_order():
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


def test_every_exit_status_is_checked():
    for name, cell in CODE.items():
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                assert ast.unparse(node.value.func).rpartition(".")[2] != "main", name


def test_linked_files_exist():
    for path in re.findall(r"\]\(\.\./([^)#]+)\)", WORDS):
        assert (ROOT / path).exists(), path


@pytest.fixture
def laptop(monkeypatch, tmp_path):
    """An environment without AWS, and a fake laptop's AWS that records starts and stops."""
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
    events: list[Any] = []
    running: list[Running] = []

    def start(port: int, state: Path) -> tuple[Running, bool]:
        events.append(("start", port))
        return Running(1, port, str(state)), True

    monkeypatch.setattr(walkthrough, "start", start)
    monkeypatch.setattr(walkthrough, "stop", lambda _: events.append("stop"))
    monkeypatch.setattr(walkthrough, "find_running", lambda _: next(iter(running), None))
    return events, running


def test_begin_without_credentials_starts_and_stops_the_laptops_aws(laptop, capsys):
    events, _ = laptop
    place = begin(port=4720)
    assert place == Place("laptop", started=True)
    assert os.environ["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4720"
    assert Path.cwd() == ROOT
    assert str(Path(sys.executable).parent) in os.environ["PATH"].split(os.pathsep)
    assert "costs nothing" in capsys.readouterr().out
    place.leave()
    assert events == [("start", 4720), "stop"]


def test_begin_uses_a_running_laptops_aws_and_leaves_it_running(laptop):
    events, running = laptop
    running.append(Running(1, 4725, "state"))
    place = begin(port=4720)
    assert os.environ["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4725"
    place.leave()
    assert events == []


def test_begin_uses_the_endpoint_url_of_the_environment(laptop, capsys):
    events, _ = laptop
    os.environ["AWS_ENDPOINT_URL"] = "http://127.0.0.1:4721"
    assert begin() == Place("laptop")
    assert "http://127.0.0.1:4721" in capsys.readouterr().out
    assert events == []


def test_begin_with_credentials_alone_raises(laptop):
    events, _ = laptop
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    with pytest.raises(CostsNotAgreedError, match=r"0\.115 USD an hour, 84 a month.*PLACE = \"aws"):
        begin()
    assert events == []
    assert "AWS_ENDPOINT_URL" not in os.environ


def test_begin_on_aws_states_the_costs_first(laptop, capsys):
    events, _ = laptop
    place = begin("aws")
    assert place == Place("aws")
    said = capsys.readouterr().out
    assert "0.115 USD an hour" in said
    assert "0.23 USD an hour" in said
    place.leave()
    assert events == []


def test_begin_on_laptop_ignores_credentials(laptop):
    os.environ |= {"AWS_ACCESS_KEY_ID": "mine", "AWS_PROFILE": "mine"}
    assert begin("laptop", 4720).name == "laptop"
    assert os.environ["AWS_ACCESS_KEY_ID"] == "test"
    assert "AWS_PROFILE" not in os.environ


def test_begin_with_unknown_place_raises(laptop):
    with pytest.raises(PlaceUnknownError, match='PLACE = "moon"'):
        begin("moon")


def test_done_with_failed_status_raises():
    done(0)
    with pytest.raises(CommandFailedError, match="status 3"):
        done(3)


@pytest.mark.parametrize(("name", "part"), [("aws", "default"), ("laptop", "local")])
def test_sam_gets_the_config_env_of_its_place(name, part, monkeypatch, tmp_path, capsys):
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


def test_samples_shows_the_first_pictures_of_each_class(tmp_path):
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


def test_embedded_page_has_its_own_frame(tmp_path):
    page = tmp_path / "monitor.html"
    page.write_text('<p class="a">A & B</p>', encoding="utf-8")
    shown = embedded(page, height=300)
    assert 'srcdoc="&lt;p class=&quot;a&quot;&gt;A &amp; B&lt;/p&gt;"' in shown
    assert 'height="300"' in shown
