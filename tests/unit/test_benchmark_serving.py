"""The serving benchmark's arithmetic, its clients without sockets, and what it refuses."""

import shutil
import tarfile
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.serving.__main__ import check_answers, measure_in_turns, prepare_model
from benchmarks.serving.containers import ContainerServerError, install
from benchmarks.serving.report import figures, show, spread
from benchmarks.serving.subjects import Run, Subject, SubjectError, measure
from training.waiting import make_console

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


def test_the_spread_is_the_quartiles():
    assert spread([4.0, 1.0, 2.0, 3.0, 5.0]) == {"q1": 2.0, "median": 3.0, "q3": 4.0}
    assert spread([2.0, 1.0]) == {"q1": 1.0, "median": 1.5, "q3": 2.0}


def report_of(containers: list[str]) -> dict:
    """Three repeats, in the second of which the whole machine was half as fast."""
    slower = (1, 2, 1)
    subjects = [
        Subject("bare", "bare forward pass", Asked().connect, clients=(1,)),
        Subject("invocations", "/invocations", Asked().connect),
        *(Subject(name, name, Asked().connect) for name in containers),
    ]
    runs = {
        ("bare", 1): [Run(0.010 * slow, 100 / slow) for slow in slower],
        ("invocations", 1): [Run(0.012 * slow, 83 / slow) for slow in slower],
        ("invocations", 8): [Run(0.040 * slow, 200 / slow) for slow in slower],
    }
    for number, name in enumerate(containers, start=1):
        for clients in (1, 8):
            runs[name, clients] = [Run(0.1 * slow, 40 * number / slow) for slow in slower]
    return figures(subjects, runs, containers)


def test_the_ratios_are_taken_within_a_repeat_and_to_the_better_server():
    found = report_of(["torchserve", "multi-model-server"])
    assert found["ratios"]["invocations_to_bare"] == {"q1": 1.2, "median": 1.2, "q3": 1.2}
    assert found["better_container_server"] == "multi-model-server"
    assert found["ratios"]["throughput_to_better_container_server"]["median"] == 2.5
    assert found["subjects"]["bare"]["clients"]["1"]["ms"]["median"] == 10.0


@pytest.mark.parametrize("containers", [[], ["torchserve"]])
def test_a_report_is_shown_with_what_was_not_measured(containers, capsys):
    about = {
        "repeats": 3, "cores": 2, "machine": "x86_64, 2 cores", "pictures": 8, "data": "synthetic",
        "input_size": 32, "weights_bytes": 1000,
        "first_answer_s": {"median": 4.5, "min": 4.0, "max": 5.0},
        "not_measured": {"multi-model-server": "no java on the PATH"},
    }  # fmt: skip
    show(about | report_of(containers), make_console())
    shown = capsys.readouterr().out
    assert "multi-model-server was not measured: no java on the PATH" in shown
    assert ("throughput to torchserve" in shown) == bool(containers)
    assert "at most 1.5" in shown


def test_a_folder_becomes_an_archive_and_an_archive_a_folder(tmp_path):
    given = tmp_path / "given"
    (given / "code").mkdir(parents=True)
    (given / "model.pt").write_bytes(b"weights")
    (given / "code" / "inference.py").write_text("")
    folder, archive = prepare_model(given, tmp_path / "one")
    assert folder == given
    unpacked, same = prepare_model(archive, tmp_path / "two")
    assert same == archive
    assert (unpacked / "model.pt").read_bytes() == b"weights"
    assert (unpacked / "code" / "inference.py").exists()
    with tarfile.open(archive) as tar:
        assert "model.pt" in tar.getnames()  # at the top, where SageMaker looks for it


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
