"""The program of the forwarder container, between two servers of the test."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor

import pytest

from local import container_forwarder

SECONDS = 120.0
BIG = b"picture" * 1_000_000  # larger than any buffer on the way


def _run(coroutine: Coroutine[object, object, bytes]) -> bytes:
    """Run a coroutine in a thread of its own: Playwright leaves a running event loop in the tests' thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, asyncio.wait_for(coroutine, SECONDS)).result()


async def _send(target: str, question: bytes) -> bytes:
    """Send a question, if any, through a forwarder on 127.0.0.1 and return the answer."""
    forwarder = await asyncio.start_server(
        lambda reader, writer: container_forwarder.forward(target, reader, writer), "127.0.0.1", 0
    )
    async with forwarder:
        port = forwarder.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def send() -> None:
            if question:
                writer.write(question)
                await writer.drain()
                writer.write_eof()

        _, answer = await asyncio.gather(send(), reader.read())
        writer.close()
        return answer


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"got " + await reader.read())
    await writer.drain()
    writer.close()


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_forwarder_copies_both_directions_to_their_end(kind, tmp_path):
    async def run() -> bytes:
        path = str(tmp_path / "aws.sock")
        if kind == "unix":
            server = await asyncio.start_unix_server(_echo, path)
            target = f"unix:{path}"
        else:
            server = await asyncio.start_server(_echo, "127.0.0.1", 0)
            target = f"tcp:127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            return await _send(target, BIG)

    assert _run(run()) == b"got " + BIG


def test_forwarder_without_target_closes_the_connection_and_logs_the_error(tmp_path, capsys):
    target = f"unix:{tmp_path}/aws.sock"
    assert _run(_send(target, b"")) == b""
    assert f"{target}: " in capsys.readouterr().err
