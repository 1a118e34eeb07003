"""The serving benchmark's figures, its clients without sockets, and its errors."""

import json
import re
import shutil
import tarfile
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.serving.__main__ import check_answers, data_name, measure_in_turns, prepare_model
from benchmarks.serving.containers import ContainerServerError, install
from benchmarks.serving.report import figures, quartiles, show
from benchmarks.serving.subjects import Subject, SubjectError, TimedRun, measure
from common.waiting import make_console
from training.endpoint.training_job import SOURCE_DIR

ENOUGH_S = 60.0


class Server:
    """Answers each picture with a probability, or raises an error; records connections and pictures."""

    def __init__(self, probability: float = 0.75, error: Exception | None = None) -> None:
        self.connections = 0
        self.pictures: list[bytes] = []
        self.probability = probability
        self.error = error
        self._lock = threading.Lock()

    @contextmanager
    def connect(self):
        if isinstance(self.error, OSError):
            raise self.error
        with self._lock:
            self.connections += 1
        yield self.ask

    def ask(self, picture: bytes) -> bytes:
        if self.error:
            raise self.error
        with self._lock:
            self.pictures.append(picture)
        p = self.probability
        return b'{"labels": ["a", "b"], "probabilities": [%f, %f]}' % (p, 1 - p)


def subject(server: Server, name: str = "one") -> Subject:
    return Subject(name, f"subject {name}", server.connect)


@pytest.mark.parametrize("clients", [1, 4])
def test_clients_share_the_requests_and_the_pictures(clients):
    server = Server()
    pictures = [bytes([number]) for number in range(8)]
    run = measure(subject(server), pictures, clients, 16, ENOUGH_S)
    assert server.connections == clients
    assert sorted(server.pictures) == sorted(pictures * 2)
    assert run.median_s > 0
    assert run.per_s > 0


def test_each_client_sends_one_request_however_short_the_time():
    server = Server()
    measure(subject(server), [b"picture"], 3, 300, 0.0)
    assert len(server.pictures) == 3


@pytest.mark.parametrize("error", [SubjectError("port 1 answered 'HTTP/1.1 500'"), ConnectionRefusedError("refused")])
def test_error_of_a_client_ends_the_measurement(error):
    with pytest.raises(type(error), match=re.escape(str(error))):
        measure(subject(Server(error=error)), [b"picture"], 8, 80, ENOUGH_S)


def test_subjects_are_measured_equally_often():
    subjects = [subject(Server(), "one"), Subject("two", "subject two", Server().connect, clients=(1,))]
    runs = measure_in_turns(subjects, [b"picture"] * 8, 3, make_console())
    assert {turn: len(each) for turn, each in runs.items()} == {("one", 1): 3, ("one", 8): 3, ("two", 1): 3}


def test_different_answers_are_an_error_unless_the_subject_is_not_compared():
    other = Subject("look", "one look", Server(0.9).connect, compared=False)
    check_answers([subject(Server()), other, subject(Server(0.75001))], [b"picture"])
    with pytest.raises(SubjectError, match=r"subject two answered .*0\.76.* where subject one"):
        check_answers([subject(Server()), subject(Server(0.76), "two")], [b"picture"])


def test_quartiles_of_few_values():
    assert quartiles([4.0, 1.0, 2.0, 3.0, 5.0]) == {"q1": 2.0, "median": 3.0, "q3": 4.0}
    assert quartiles([2.0, 1.0]) == {"q1": 1.0, "median": 1.5, "q3": 2.0}


def report_of(containers: list[str]) -> dict:
    """Return the figures of three repeats; in the second, the whole machine was half as fast."""
    measured = {
        ("bare", 1): (0.010, 100),
        ("bare_one_look", 1): (0.004, 250),
        ("bare_traced", 1): (0.008, 125),
        ("invocations", 1): (0.012, 83),
        ("invocations", 8): (0.040, 200),
    }
    for number, name in enumerate(containers, start=1):
        measured |= {(name, clients): (0.1, 40 * number) for clients in (1, 8)}
    runs = {turn: [TimedRun(s * slow, per_s / slow) for slow in (1, 2, 1)] for turn, (s, per_s) in measured.items()}
    subjects = [
        Subject(name, name, Server().connect, clients=tuple(clients for other, clients in measured if other == name))
        for name in dict.fromkeys(name for name, _ in measured)
    ]
    return figures(subjects, runs, containers)


def test_ratios_are_within_a_repeat_and_to_the_better_server():
    found = report_of(["torchserve", "multi-model-server"])
    assert found["ratios"]["invocations_to_bare"] == {"q1": 1.2, "median": 1.2, "q3": 1.2}
    assert found["ratios"]["invocations_to_bare_traced"]["median"] == 1.5
    assert found["ratios"]["bare_to_bare_one_look"]["median"] == 2.5
    assert found["better_container_server"] == "multi-model-server"
    assert found["ratios"]["throughput_to_better_container_server"]["median"] == 2.5
    assert found["subjects"]["bare"]["clients"]["1"]["ms"]["median"] == 10.0


@pytest.mark.parametrize("containers", [[], ["torchserve"]])
def test_report_is_shown_with_what_was_not_measured(containers, capsys):
    about = {
        "repeats": 3,
        "cores": 2,
        "machine": "x86_64, 2 cores",
        "pictures": 8,
        "data": "synthetic",
        "input_size": 32,
        "weights_bytes": 1000,
        "first_answer_s": {"median": 4.5, "min": 4.0, "max": 5.0},
        "not_measured": {"multi-model-server": "no java on the PATH"},
    }
    show(about | report_of(containers), make_console())
    shown = capsys.readouterr().out
    assert "multi-model-server was not measured: no java on the PATH" in shown
    assert ("throughput to torchserve" in shown) == bool(containers)
    assert "at most 1.5" in shown
    assert re.search(r"/invocations to bare, traced +. 1\.50 ", shown)
    assert re.search(r"all views of a picture to one, bare +. 2\.50 ", shown)


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """A model that was trained some time ago, with older scripts."""
    folder = tmp_path / "given"
    (folder / "code").mkdir(parents=True)
    (folder / "model.pt").write_bytes(b"weights")
    (folder / "code" / "inference.py").write_text("older")
    return folder


def test_model_becomes_a_folder_and_an_archive_with_current_scripts(given: Path, tmp_path: Path):
    folder, archive = prepare_model(given, tmp_path / "one")
    unpacked, again = prepare_model(archive, tmp_path / "two")
    for one in (folder, unpacked):
        assert (one / "model.pt").read_bytes() == b"weights"
        for name in ("inference.py", "picture_model/network.py"):
            assert (one / "code" / name).read_bytes() == (SOURCE_DIR / name).read_bytes()
    for packed in (archive, again):
        with tarfile.open(packed) as tar:
            assert "model.pt" in tar.getnames()  # at the top, where SageMaker looks for it
            script = tar.extractfile("code/inference.py")
            assert script
            assert script.read() == (SOURCE_DIR / "inference.py").read_bytes()
    assert (given / "code" / "inference.py").read_text() == "older"


def test_prepared_model_replaces_the_one_before(given: Path, tmp_path: Path):
    folder, archive = prepare_model(given, tmp_path / "work")
    (folder / "of-before.pt").touch()
    assert prepare_model(archive, tmp_path / "work") == (folder, archive)  # its own archive again
    assert sorted(path.name for path in folder.iterdir()) == ["code", "model.pt"]


@pytest.mark.parametrize("content", [None, b"no archive"])
def test_file_that_is_not_a_model_is_an_error(tmp_path, content):
    path = tmp_path / "model.tar.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SubjectError, match=r"is neither a folder of train.py's nor a model.tar.gz"):
        prepare_model(path, tmp_path / "work")


@pytest.mark.parametrize("manifest", [None, "{", "[]", '{"source": 3}', '{"source": {}}'])
def test_staged_folder_without_a_source_is_an_error(tmp_path: Path, manifest):
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(SubjectError, match=r"manifest\.json does not name the source of the pictures"):
        data_name(tmp_path)


@pytest.mark.parametrize(
    ("source", "name"),
    [({"kind": "archive", "name": "cifar-100"}, "cifar-100"), ({"kind": "synthetic", "count": 9}, "synthetic")],
)
def test_data_has_the_name_or_kind_of_its_source(tmp_path: Path, source, name):
    (tmp_path / "manifest.json").write_text(json.dumps({"source": source}))
    assert data_name(tmp_path) == name


def test_install_without_java_is_an_error_and_installs_nothing(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ContainerServerError, match="apt-get install default-jre-headless"):
        install("torchserve", tmp_path / "servers", make_console())
    assert not (tmp_path / "servers").exists()
