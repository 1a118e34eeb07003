"""Give each case to the function or to the endpoint's program in a process of its own.

`python -m tests.hostile.apart function|endpoint FOLDER` imports what the Lambda runtime or the
serving container imports, and forks for each case that it is told of on stdin. So a crash, a hang
or a memory peak belongs to one case, and the corpus is not in the measured memory.
"""

import contextlib
import importlib
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
SECONDS = 60  # what SageMaker lets a container take; a case that takes more is killed
Work = Callable[[str, bytes], str]


class Told(NamedTuple):
    """How one case ended.

    Attributes:
        name: the case's name.
        outcome: of the function "passed" or an error's name; of the endpoint an HTTP status, with
            the name of what was not foreseen; or "killed by signal N".
        seconds: how long it took, without reading it from disk.
        peak_mib: the process's peak resident memory, with interpreter, packages and model.
    """

    name: str
    outcome: str
    seconds: float
    peak_mib: float


def run(role: str, cases: Iterable[Any]) -> Iterator[Told]:
    """Give the cases (name, key and body) to "function" or "endpoint", one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        if role == "endpoint":
            from tests.hostile.model import write_model

            write_model(Path(folder))
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.apart", role, folder],
            cwd=ROOT,
            env=os.environ
            | {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
            | {"AWS_DEFAULT_REGION": "us-east-1", "PYTHONWARNINGS": "default"},
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
                yield Told(**json.loads(host.stdout.readline()))
        assert process.returncode == 0


def function(_folder: str) -> Work:
    """Return what hands one object to Serialize Image Data, as S3 and the Lambda runtime do."""
    from botocore.response import StreamingBody
    from botocore.stub import Stubber

    from functions.serialize_image_data import app

    def work(key: str, body: bytes) -> str:
        answer = {"Body": StreamingBody(io.BytesIO(body), len(body)), "ContentLength": len(body)}
        with Stubber(app.s3) as s3:
            s3.add_response("get_object", answer, {"Bucket": "pictures", "Key": key})
            try:
                json.dumps(app.lambda_handler({"s3_bucket": "pictures", "s3_key": key}, None))
            except Exception as error:  # noqa: BLE001  its name is the outcome
                return type(error).__name__
        return "passed"

    return work


def endpoint(folder: str) -> Work:
    """Return what hands one picture to inference.py, as the serving container does."""
    sys.path.insert(0, str(ROOT / "training" / "container"))
    inference = importlib.import_module("inference")
    model = inference.model_fn(folder)

    def work(_key: str, body: bytes) -> str:
        try:
            picture = inference.input_fn(body, "application/x-image")
            inference.output_fn(inference.predict_fn(picture, model), "application/json")
        except inference.RequestError as error:
            return str(error.status_code)
        except Exception as error:  # noqa: BLE001  the container would answer 500
            return f"500 {type(error).__name__}: {error}"
        return "200"

    return work


def fork(work: Work, name: str, key: str, path: str) -> Told:
    """Do the work in a child; the kernel ends one that takes too long."""
    from_child, to_parent = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)  # nobody handles it, so it kills even where no Python runs
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # logs
        body = Path(path).read_bytes()
        start = time.perf_counter()
        with contextlib.suppress(BaseException):
            outcome = work(key, body)
            seconds = time.perf_counter() - start
            os.write(to_parent, json.dumps([outcome, seconds]).encode())
        os._exit(0)
    os.close(to_parent)
    with os.fdopen(from_child, "rb") as pipe:
        answer = pipe.read()
    _, status, usage = os.wait4(child, 0)
    outcome, seconds = json.loads(answer or '["it ended without an answer", 0.0]')
    if os.WIFSIGNALED(status):
        outcome, seconds = f"killed by signal {os.WTERMSIG(status)}", float(SECONDS)
    return Told(name, outcome, seconds, usage.ru_maxrss / 1024)


def main() -> None:
    """Prepare the role once, then answer a line of JSON for each one read."""
    role, folder = sys.argv[1:]
    work = {"function": function, "endpoint": endpoint}[role](folder)
    for line in sys.stdin:
        told = fork(work, **json.loads(line))
        print(json.dumps(told._asdict()), flush=True)


if __name__ == "__main__":
    main()
