"""Main program of the child processes that `model.dataset.decoding_process` starts."""

import os
import pickle  # nosec B403: only from the parent process
import select
import socket
import sys
import threading

from model.dataset.decoding_process import MAX_MESSAGE_BYTES, READY, Decoded, Header, send_answer
from model.dataset.images import decode_in_this_process, open_in_this_process
from model.errors import ImageError, ImageTooLargeError
from model.processes import limit_memory

# Then the next photo is decoded in a new process.
_IDLE_SECONDS = 60.0


def main(max_bytes: str) -> int:
    """Decode photos from the socket on standard input until it is closed, or idle for a minute."""
    limit_memory(int(max_bytes))
    connection = socket.socket(fileno=os.dup(0))
    threading.Thread(target=_exit_when_closed, args=(connection,), daemon=True).start()
    connection.send(READY)
    while select.select([connection], [], [], _IDLE_SECONDS)[0]:
        options, files, *_ = socket.recv_fds(connection, MAX_MESSAGE_BYTES, 1)
        if not options:
            break
        with open(files[0], "rb") as stream:
            stream.seek(0)
            content = stream.read()
        send_answer(connection, _answer(options, content))
    return 0


def _answer(options: bytes, content: bytes) -> Decoded | Header | ImageError:
    is_header, spec, max_memory = pickle.loads(options)  # nosec B301: from our parent
    try:
        if is_header:
            return open_in_this_process(content, spec, max_memory)
        photo = decode_in_this_process(content, spec, max_memory)
    except ImageError as error:
        return error
    except MemoryError:
        return ImageTooLargeError("expected an image that takes less memory to decode: save it smaller")
    return photo.pixels, photo.values


def _exit_when_closed(connection: socket.socket) -> None:
    """End this process, whatever it is decoding, when its parent has ended."""
    poll = select.poll()
    poll.register(connection, 0)
    poll.poll()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
