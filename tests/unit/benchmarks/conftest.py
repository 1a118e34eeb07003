"""Staged pictures for the benchmarks."""

from pathlib import Path

import pytest

from training import stage_data


@pytest.fixture(scope="session")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench") / "staged"
    options = ["--no-upload", "--count", "20", "--size", "16", "--out", str(folder)]
    assert stage_data.main(["synthetic", *options]) == 0
    return folder
