"""A network of its own, where the system's resolver asks a name server that lies; run by `test_own_network.py`.

Two network namespaces joined by a cable: in one the process under test with its name server and a private server
that must not be reached, in the other the public server, at a public address. Prints the outcome of each URL as JSON.
"""

import io
import ipaddress
import json
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import urllib.request

from api.fetch import FetchLimits, fetch
from api.public_addresses import is_public
from model.errors import FetchError
from tests.support.strange_servers import NAMES, PUBLIC, Forbidden, Stranger, listening

CANNOT_START = 77
OWN_PUBLIC = "93.184.215.1"
URLS = (
    "http://public.example/photo.jpg",
    f"http://{OWN_PUBLIC}/",
    "http://localhost/",
    "http://127.1/",
    "http://[::1]/",
    *(f"http://{name}/photo.jpg" for name in NAMES if name.endswith(".example") and not name.startswith("xn--")),
    "http://rebinding.example/again",
    "http://public.example/away?http://private.example/",
)
_A, _AAAA = 1, 28


class NameServer:
    """Answers for `NAMES`, with a time to live of zero; each resolution of a name takes its next answer."""

    def __init__(self) -> None:
        self.asked: dict[str, int] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            query, client = self._socket.recvfrom(512)
            self._socket.sendto(self._reply(query), client)

    def _reply(self, query: bytes) -> bytes:
        name, end = _name(query)
        (kind,) = struct.unpack(">H", query[end : end + 2])
        addresses = [ipaddress.ip_address(address) for address in self._answer(name, count=kind == _A)]
        packed = [address.packed for address in addresses if kind == (_A if address.version == 4 else _AAAA)]
        records = b"".join(struct.pack(">HHHIH", 0xC00C, kind, 1, 0, len(data)) + data for data in packed)
        found = 0x8180 if name in NAMES else 0x8183
        header = query[:2] + struct.pack(">HHHHH", found, 1, len(packed), 0, 0)
        return header + query[12 : end + 4] + records

    def _answer(self, name: str, count: bool) -> tuple[str, ...]:
        answers = NAMES.get(name, ((),))
        index = min(self.asked.get(name, 0), len(answers) - 1)
        # The system asks for both kinds of addresses at each resolution.
        self.asked[name] = self.asked.get(name, 0) + count
        return answers[index]


def _name(query: bytes) -> tuple[str, int]:
    """The name asked for, and where it ends."""
    labels, position = [], 12
    while length := query[position]:
        labels.append(query[position + 1 : position + 1 + length].decode())
        position += 1 + length
    return ".".join(labels).lower(), position + 1


def main() -> None:
    _run("ip link set lo up")
    with subprocess.Popen(
        ["unshare", "--net", sys.executable, "-m", __spec__.name, "public"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as public:
        assert public.stdin is not None and public.stdout is not None
        assert public.stdout.readline() == "separated\n"
        _run(f"ip link add name here type veth peer name there netns {public.pid}")
        _run(f"ip addr add {OWN_PUBLIC}/24 dev here")
        _run("ip link set here up")
        public.stdin.write("connected\n")
        public.stdin.flush()
        assert public.stdout.readline() == "serving\n"
        _use_own_name_server()
        names = NameServer()
        forbidden = Forbidden(port=80)
        with forbidden.listening():
            print(json.dumps({url: _outcome(url, forbidden) for url in URLS} | {"naive": _naive(names, forbidden)}))
        public.stdin.close()


def serve_in_public() -> None:
    print("separated", flush=True)
    sys.stdin.readline()
    _run(f"ip addr add {PUBLIC}/24 dev there")
    _run("ip link set there up")
    with listening(PUBLIC, 80, Stranger(forbidden_port=80).take):
        print("serving", flush=True)
        sys.stdin.read()


def _use_own_name_server() -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        file.flush()
        _run(f"mount --bind {file.name} /etc/resolv.conf")


def _outcome(url: str, forbidden: Forbidden) -> tuple[str, int]:
    """The message, or nothing where the photo came; and how many have reached the forbidden server so far."""
    try:
        fetch(url, io.BytesIO(), FetchLimits(1 << 20, seconds=3))
    except FetchError as error:
        return error.message, forbidden.connections()
    return "", forbidden.connections()


def _naive(names: NameServer, forbidden: Forbidden) -> tuple[str, int]:
    """Outcome of a check and a fetch that resolves the name again."""
    names.asked.clear()
    assert is_public(str(socket.getaddrinfo("rebinding.example", 80, socket.AF_INET)[0][4][0]))
    urllib.request.urlopen("http://rebinding.example/", timeout=3).close()
    return "", forbidden.connections()


def _run(command: str) -> None:
    ran = subprocess.run(command.split(), capture_output=True, text=True)
    if ran.returncode:
        print(f"{command}: {ran.stderr.strip()}", file=sys.stderr)
        sys.exit(CANNOT_START)


if __name__ == "__main__":
    serve_in_public() if "public" in sys.argv else main()
