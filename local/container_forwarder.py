"""The program of the forwarder container: it forwards TCP connections to the laptop's AWS.

It runs on its own, in the Lambda base image, and imports nothing of this project:
`python3 container_forwarder.py 4566 unix:/laptop-aws/aws.sock`. docker_network.py starts it.
"""

import asyncio
import sys

_CHUNK_BYTES = 65_536


async def connect(target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection to `unix:PATH` or `tcp:HOST:PORT`; raise OSError when nothing listens there."""
    kind, _, address = target.partition(":")
    if kind == "unix":
        return await asyncio.open_unix_connection(address)
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy bytes until their end, then close the writing direction."""
    while chunk := await reader.read(_CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    writer.write_eof()


async def forward(target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Forward one connection to the target until both directions end or one fails."""
    ends = [writer]
    try:
        target_reader, target_writer = await connect(target)
        ends.append(target_writer)
        await asyncio.gather(copy(reader, target_writer), copy(target_reader, writer))
    except OSError as error:
        print(f"{target}: {error}", file=sys.stderr, flush=True)  # for `docker logs`
    finally:
        for end in ends:
            end.close()


async def serve(port: int, target: str) -> None:
    """Forward every connection to a port of this container."""
    server = await asyncio.start_server(
        lambda reader, writer: forward(target, reader, writer),
        host="0.0.0.0",  # noqa: S104  every interface of the container, none of the host
        port=port,
    )
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
