"""Run each case of the function or the endpoint in a process of its own.

`python -m benchmarks.hostile_pictures.isolation function|endpoint FOLDER` imports what the Lambda runtime or the
serving container imports, and forks for each case named on stdin. So a crash, a hang or a memory peak belongs to
one case, and the measured memory does not include the corpus.
"""

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
TIMEOUT_SECONDS = 60  # SageMaker's limit for an answer of a container
Handler = Callable[[str, bytes], str]  # takes a key and a body, returns the outcome


class CaseResult(NamedTuple):
    """The outcome and the cost of one case.

    The outcome is, of the function, "passed" or an error's name; of the endpoint, an HTTP status, with the name of an
    unforeseen error; of both, that it ended without an answer.
    """

    name: str
    outcome: str
    seconds: float  # without reading the body from disk
    added_mib: float  # the rise of the peak resident memory
    peak_mib: float  # the peak including interpreter, packages and model


def run(role: str, cases: Iterable[Any]) -> Iterator[CaseResult]:
    """Give the cases (name, key and body) to "function" or "endpoint", one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.hostile_pictures.isolation", role, folder],
            cwd=ROOT,
            env=os.environ | CREDENTIALS | {"PYTHONWARNINGS": "default"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with process as host:
            assert host.stdin is not None
            assert host.stdout is not None
            body = Path(folder, "body")
            for case in cases:
                body.write_bytes(case.body)
                request = {"name": case.name, "key": case.key, "path": str(body)}
                print(json.dumps(request), file=host.stdin, flush=True)
                yield CaseResult(**json.loads(host.stdout.readline()))
        assert process.returncode == 0


def function(_folder: str) -> Handler:
    """Return a handler that gives one object to Serialize Image Data, as S3 and the Lambda runtime do."""
    from botocore.response import StreamingBody
    from botocore.stub import Stubber

    from functions.serialize_image_data import app

    def handle(key: str, body: bytes) -> str:
        answer = {"Body": StreamingBody(io.BytesIO(body), len(body)), "ContentLength": len(body)}
        with Stubber(app.s3) as s3:
            s3.add_response("get_object", answer, {"Bucket": "pictures", "Key": key})
            try:
                json.dumps(app.lambda_handler({"s3_bucket": "pictures", "s3_key": key}, None))
            except Exception as error:  # noqa: BLE001  its name is the outcome
                return type(error).__name__
        return "passed"

    return handle


def endpoint(folder: str) -> Handler:
    """Write a model into the folder; return a handler that gives one picture to inference.py, as the container does."""
    from benchmarks.hostile_pictures.model import write_model
    from training.container.picture_model import inference

    write_model(Path(folder))
    model = inference.model_fn(folder)

    def handle(_key: str, body: bytes) -> str:
        try:
            picture = inference.input_fn(body, "application/x-image")
            inference.output_fn(inference.predict_fn(picture, model), "application/json")
        except inference.RequestError as error:
            return str(error.status_code)
        except Exception as error:  # noqa: BLE001  the container would answer 500
            return f"500 {type(error).__name__}: {error}"
        return "200"

    return handle


def run_in_child(handle: Handler, name: str, key: str, path: str) -> CaseResult:
    """Handle the case in a forked process, which an alarm kills after TIMEOUT_SECONDS."""
    from_child, to_parent = os.pipe()
    child = os.fork()
    if child == 0:
        before = peak_rss_mib()
        signal.alarm(TIMEOUT_SECONDS)  # without a handler, it kills even where no Python code runs
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # logs
        body = Path(path).read_bytes()
        start = time.perf_counter()
        try:
            outcome = handle(key, body)
            seconds, added = time.perf_counter() - start, peak_rss_mib() - before
            os.write(to_parent, json.dumps([outcome, seconds, added]).encode())
        finally:
            os._exit(0)  # never return into the parent's loop
    os.close(to_parent)
    with os.fdopen(from_child, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    killed = f"ended without an answer, by signal {status & 0x7F}", float(TIMEOUT_SECONDS), 0.0
    outcome, seconds, added = json.loads(answer) if answer else killed
    # A child starts without the pages of the libraries, which its parent has.
    return CaseResult(name, outcome, seconds, added, peak_rss_mib() + added)


def peak_rss_mib(process: str = "self") -> float:
    """Return the peak resident memory of a running program so far.

    Unlike getrusage's, it excludes the peak of the process that started this one, which survives exec.
    """
    status = Path("/proc", process, "status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    """Prepare the role once, then answer each line of JSON with one."""
    role, folder = sys.argv[1:]
    handle = {"function": function, "endpoint": endpoint}[role](folder)
    for line in sys.stdin:
        result = run_in_child(handle, **json.loads(line))
        print(json.dumps(result._asdict()), flush=True)


if __name__ == "__main__":
    main()
