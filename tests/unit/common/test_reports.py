"""Files are written whole or not at all."""

import json
from pathlib import Path
from unittest.mock import Mock

import pytest

from common.reports import write_json, write_text


def test_write_json_creates_the_folder_and_leaves_only_the_file(tmp_path):
    path = tmp_path / "reports" / "new" / "a.json"
    write_json(path, {"name": "Zoë"})

    assert json.loads(path.read_text(encoding="utf-8")) == {"name": "Zoë"}
    assert [*path.parent.iterdir()] == [path]


def test_value_that_is_not_json_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}


@pytest.mark.parametrize(("text", "error"), [("\ud800", UnicodeEncodeError), ("new", KeyboardInterrupt)])
def test_interrupted_write_leaves_only_the_old_file(tmp_path, monkeypatch, text, error):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    monkeypatch.setattr(Path, "replace", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(error):
        write_text(path, text)
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]
