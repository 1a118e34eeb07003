"""JSON files: whole or not at all."""

import json

import pytest

from training.reports import write_json


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
