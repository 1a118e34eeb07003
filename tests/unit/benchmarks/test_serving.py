"""The serving benchmark's arithmetic, its clients without sockets, and what it refuses."""

import argparse
import json
import os
import re
import shutil
import signal
import tarfile
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.serving.__main__ import (
    about,
    check_answers,
    ending_on_signals,
    measure_in_turns,
    prepare_model,
)
from benchmarks.serving.containers import ContainerServerError, install
from benchmarks.serving.report import figures, quartiles, show
from benchmarks.serving.subjects import Subject, SubjectError, TimedRun, measure
from common.waiting import make_console
from training.endpoint.training_job import SOURCE_DIR

ENOUGH_S = 60.0


class Asked:
    """Answers each picture with a JSON, and notes who asked for what."""

    def __init__(self, probability: float = 0.75) -> None:
        self.connections = 0
        self.pictures: list[bytes] = []
        self.probability = probability
        self._lock = threading.Lock()

    @contextmanager
    def connect(self):
        with self._lock:
            self.connections += 1
        yield self.ask

    def ask(self, picture: bytes) -> bytes:
        with self._lock:
            self.pictures.append(picture)
        p = self.probability
        return b'{"labels": ["a", "b"], "probabilities": [%f, %f]}' % (p, 1 - p)


def subject(asked: Asked, name: str = "one") -> Subject:
    return Subject(name, f"subject {name}", asked.connect)


@pytest.mark.parametrize("clients", [1, 4])
def test_clients_share_the_requests_and_the_pictures(clients):
    asked = Asked()
    pictures = [bytes([number]) for number in range(8)]
    run = measure(subject(asked), pictures, clients, 16, ENOUGH_S)
    assert asked.connections == clients
    assert sorted(asked.pictures) == sorted(pictures * 2)
    assert run.median_s > 0
    assert run.per_s > 0


def test_each_client_asks_once_however_short_the_time():
    asked = Asked()
    measure(subject(asked), [b"picture"], 3, 300, 0.0)
    assert len(asked.pictures) == 3


def test_what_a_client_is_refused_ends_the_measurement():
    class Refused(Asked):
        def ask(self, _: bytes) -> bytes:
            raise SubjectError("port 1 answered 'HTTP/1.1 500'")

    with pytest.raises(SubjectError, match=r"HTTP/1\.1 500"):
        measure(subject(Refused()), [b"picture"], 8, 80, ENOUGH_S)


def test_a_server_that_does_not_let_a_client_in_ends_it_too():
    class Closed(Asked):
        @contextmanager
        def connect(self):
            raise ConnectionRefusedError("nobody listens")
            yield self.ask

    with pytest.raises(ConnectionRefusedError, match="nobody listens"):
        measure(subject(Closed()), [b"picture"], 8, 80, ENOUGH_S)


def test_every_subject_is_measured_as_often_as_the_others():
    one, two = Asked(), Asked()
    subjects = [subject(one, "one"), Subject("two", "subject two", two.connect, clients=(1,))]
    runs = measure_in_turns(subjects, [b"picture"] * 8, 3, make_console())
    assert {turn: len(each) for turn, each in runs.items()} == {
        ("one", 1): 3,
        ("one", 8): 3,
        ("two", 1): 3,
    }


def test_answers_that_differ_are_no_comparison():
    check_answers([subject(Asked()), subject(Asked(0.75001))], [b"picture"])
    with pytest.raises(SubjectError, match=r"subject two answered .*0\.76.* where subject one"):
        check_answers([subject(Asked()), subject(Asked(0.76), "two")], [b"picture"])


def test_what_answers_otherwise_on_purpose_is_not_compared():
    other = Subject("look", "one look", Asked(0.9).connect, compared=False)
    check_answers([subject(Asked()), other, subject(Asked())], [b"picture"])


def test_the_quartiles_of_a_few():
    assert quartiles([4.0, 1.0, 2.0, 3.0, 5.0]) == {"q1": 2.0, "median": 3.0, "q3": 4.0}
    assert quartiles([2.0, 1.0]) == {"q1": 1.0, "median": 1.5, "q3": 2.0}


def report_of(containers: list[str]) -> dict:
    """Three repeats, in the second of which the whole machine was half as fast."""
    slower = (1, 2, 1)
    subjects = [
        Subject("bare", "bare forward pass", Asked().connect, clients=(1,)),
        Subject("bare_one_look", "one look", Asked().connect, clients=(1,)),
        Subject("bare_traced", "traced", Asked().connect, clients=(1,)),
        Subject("invocations", "/invocations", Asked().connect),
        *(Subject(name, name, Asked().connect) for name in containers),
    ]
    runs = {
        ("bare", 1): [TimedRun(0.010 * slow, 100 / slow) for slow in slower],
        ("bare_one_look", 1): [TimedRun(0.004 * slow, 250 / slow) for slow in slower],
        ("bare_traced", 1): [TimedRun(0.008 * slow, 125 / slow) for slow in slower],
        ("invocations", 1): [TimedRun(0.012 * slow, 83 / slow) for slow in slower],
        ("invocations", 8): [TimedRun(0.040 * slow, 200 / slow) for slow in slower],
    }
    for number, name in enumerate(containers, start=1):
        for clients in (1, 8):
            runs[name, clients] = [TimedRun(0.1 * slow, 40 * number / slow) for slow in slower]
    return figures(subjects, runs, containers)


def test_the_ratios_are_taken_within_a_repeat_and_to_the_better_server():
    found = report_of(["torchserve", "multi-model-server"])
    assert found["ratios"]["invocations_to_bare"] == {"q1": 1.2, "median": 1.2, "q3": 1.2}
    assert found["ratios"]["invocations_to_bare_traced"]["median"] == 1.5
    assert found["ratios"]["bare_to_bare_one_look"]["median"] == 2.5
    assert found["better_container_server"] == "multi-model-server"
    assert found["ratios"]["throughput_to_better_container_server"]["median"] == 2.5
    assert found["subjects"]["bare"]["clients"]["1"]["ms"]["median"] == 10.0


@pytest.mark.parametrize("containers", [[], ["torchserve"]])
def test_a_report_is_shown_with_what_was_not_measured(containers, capsys):
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
    assert re.search(r"all looks at a picture to one, bare +. 2\.50 ", shown)


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """A model as it was trained some time ago, with the scripts of then."""
    folder = tmp_path / "given"
    (folder / "code").mkdir(parents=True)
    (folder / "model.pt").write_bytes(b"weights")
    (folder / "code" / "inference.py").write_text("of then")
    return folder


def test_a_folder_and_an_archive_become_both_with_the_scripts_of_today(given: Path, tmp_path: Path):
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
    assert (given / "code" / "inference.py").read_text() == "of then"


def test_nothing_of_the_model_before_stays(given: Path, tmp_path: Path):
    folder, archive = prepare_model(given, tmp_path / "work")
    (folder / "of-before.pt").touch()
    assert prepare_model(archive, tmp_path / "work") == (folder, archive)  # its own, once more
    assert sorted(path.name for path in folder.iterdir()) == ["code", "model.pt"]


@pytest.mark.parametrize("manifest", [None, "{", "[]", '{"source": 3}'])
def test_a_staged_folder_that_says_nothing_of_its_pictures_is_refused(tmp_path: Path, manifest):
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(SubjectError, match=r"manifest\.json does not say what the pictures are"):
        about(argparse.Namespace(repeats=1), 4, tmp_path)


def test_the_pictures_have_the_name_of_their_source(tmp_path: Path):
    manifest = {"source": {"kind": "archive", "name": "cifar-100"}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert about(argparse.Namespace(repeats=1), 4, tmp_path)["data"] == "cifar-100"


@pytest.fixture
def signals_that_end():
    """As a terminal starts a program, whatever started this one: nohup has it ignore SIGHUP."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    former = [signal.signal(number, signal.SIG_DFL) for number in numbers]
    yield
    for number, handler in zip(numbers, former, strict=True):
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals_that_end")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_it_with_all_that_it_has_started(number: signal.Signals, status: int):
    former = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)]
    ended = []

    def serve() -> None:
        with ending_on_signals():
            try:
                os.kill(os.getpid(), number)
                threading.Event().wait(ENOUGH_S)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)  # another one does not cut this short
                ended.append("servers")

    with pytest.raises(SystemExit) as exit_:
        serve()
    assert (exit_.value.code, ended) == (status, ["servers"])
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)] == former


@pytest.mark.parametrize("content", [None, b"no archive"])
def test_what_is_no_model_is_refused(tmp_path, content):
    path = tmp_path / "model.tar.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SubjectError, match=r"is no folder of train.py's and no model.tar.gz"):
        prepare_model(path, tmp_path / "work")


def test_without_java_nothing_is_installed(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ContainerServerError, match="apt-get install default-jre-headless"):
        install("torchserve", tmp_path / "servers", make_console())
    assert not (tmp_path / "servers").exists()
