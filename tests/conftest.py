"""What every test needs before anything of AWS is imported."""

import os
import signal
import sys
from pathlib import Path

import pytest

# The handlers make their clients at import, as Lambda wants it; no test may reach a real account.
os.environ.update(
    AWS_ACCESS_KEY_ID="test",
    AWS_SECRET_ACCESS_KEY="test",  # noqa: S106  the laptop's AWS knows no other
    AWS_DEFAULT_REGION="us-east-1",
    AWS_REGION="us-east-1",
    AWS_EC2_METADATA_DISABLED="true",
    SAM_CLI_TELEMETRY="0",
    POWERTOOLS_METRICS_NAMESPACE="tests",
)
# The virtual environment's own `sam`, also where the environment is not activated.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
    os.environ.pop(name, None)

# A background job starts with SIGINT ignored, and one under nohup with SIGHUP; children inherit
# that. A handler of our own is reset to the default disposition in each child.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, lambda *_: None)


def pytest_configure(config: pytest.Config) -> None:
    """Name the markers: of the tests that docs/parity.md is made from, and of those that `make quick` leaves out."""
    config.addinivalue_line("markers", "slow: trains networks, or repeats a measurement; make quick leaves it out")
    config.addinivalue_line(
        "markers",
        "parity(*behaviours): proves these behaviours of AWS, by their ids in tests/parity/behaviours.toml",
    )
