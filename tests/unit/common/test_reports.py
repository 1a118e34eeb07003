"""JSON files: whole or not at all."""

import json
from pathlib import Path

import pytest

from common.reports import write_json, write_text


def test_what_cannot_be_written_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})

    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}


def test_the_folder_is_made_and_nothing_else_left_in_it(tmp_path):
    path = tmp_path / "reports" / "new" / "a.json"
    write_json(path, {"name": "Zoë"})

    assert json.loads(path.read_text(encoding="utf-8")) == {"name": "Zoë"}
    assert [*path.parent.iterdir()] == [path]


def test_what_breaks_while_it_is_written_leaves_nothing_beside_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
        write_text(path, "\ud800")
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]


def test_a_ctrl_c_leaves_nothing_beside_the_old_file(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    path = tmp_path / "a.txt"
    write_text(path, "old")
    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]
