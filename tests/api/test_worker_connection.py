"""Messages through the pipe of a worker: whole and in order, whatever their size, without blocking the server."""

import asyncio
import os
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import pytest

from api.worker_connection import WorkerConnection
from api.worker_messages import Answer, Call, Cancel, Message, MessageBuffer, Started, framed

MESSAGES = (Started(1), Answer(1, b""), Call(2, bytes(range(256)) * 40, exclusive=True), Cancel(2))
# Many times what a pipe holds.
LARGE = Call(3, os.urandom(1 << 23), exclusive=False)


@pytest.mark.parametrize("size", [1, 7, 8, 9, 1000, 1 << 20])
def test_messages_are_read_from_blocks_of_any_size(size: int) -> None:
    sent = b"".join(map(framed, MESSAGES))
    buffer = MessageBuffer()
    blocks = [sent[start : start + size] for start in range(0, len(sent), size)]
    assert [message for block in blocks for message in buffer.add(block)] == list(MESSAGES)


def _read(pipe: Connection, count: int) -> list[Message]:
    buffer, found = MessageBuffer(), []
    while len(found) < count:
        found += buffer.add(os.read(pipe.fileno(), 1 << 16))
    return found


def test_a_worker_that_does_not_read_does_not_block_the_server() -> None:
    async def run() -> None:
        pipe, other = Pipe()
        connection = WorkerConnection(pipe)
        ended = asyncio.Event()
        connection.open(lambda message: None, ended.set)
        messages = [LARGE, Cancel(3), LARGE, Cancel(4)]
        for message in messages:
            connection.send(message)
        assert await asyncio.wait_for(asyncio.to_thread(_read, other, len(messages)), 30) == messages
        connection.send(Cancel(5))
        assert await asyncio.to_thread(_read, other, 1) == [Cancel(5)]
        other.close()
        await asyncio.wait_for(ended.wait(), 30)
        connection.send(LARGE)

    asyncio.run(run())


@pytest.mark.parametrize("unread", [0, 1])
def test_the_end_comes_after_the_last_message(unread: int) -> None:
    """Also if the worker ends without reading all that was sent to it."""

    async def run() -> None:
        pipe, other = Pipe()
        connection = WorkerConnection(pipe)
        received: list[object] = []
        ended = asyncio.Event()
        connection.open(received.append, lambda: (received.append("end"), ended.set()))
        for _ in range(unread):
            connection.send(LARGE)
        os.write(other.fileno(), b"".join(map(framed, MESSAGES)) + framed(LARGE)[:1000])
        other.close()
        await asyncio.wait_for(ended.wait(), 30)
        assert received == [*MESSAGES, "end"]

    asyncio.run(run())
