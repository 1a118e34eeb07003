"""The forwarder container's program, between two servers of the test's own."""

import asyncio
from pathlib import Path

import pytest

from local import container_forwarder

SECONDS = 10.0
BIG = b"picture" * 1_000_000  # more than any buffer on the way holds


async def _ask(target: str, question: bytes) -> bytes:
    """Send a question through a forwarder on 127.0.0.1, if any, end it, and return the answer."""
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


def test_it_passes_bytes_and_both_ends_on_over_a_unix_socket(tmp_path: Path) -> None:
    async def scene() -> bytes:
        path = str(tmp_path / "aws.sock")
        async with await asyncio.start_unix_server(_echo, path):
            return await asyncio.wait_for(_ask(f"unix:{path}", BIG), SECONDS)

    assert asyncio.run(scene()) == b"got " + BIG


def test_it_passes_bytes_and_both_ends_on_over_tcp() -> None:
    async def scene() -> bytes:
        async with await asyncio.start_server(_echo, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            return await asyncio.wait_for(_ask(f"tcp:127.0.0.1:{port}", BIG), SECONDS)

    assert asyncio.run(scene()) == b"got " + BIG


def test_with_nothing_behind_it_it_closes_the_connection_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = f"unix:{tmp_path}/aws.sock"
    assert asyncio.run(asyncio.wait_for(_ask(target, b""), SECONDS)) == b""
    assert f"{target}: " in capsys.readouterr().err
