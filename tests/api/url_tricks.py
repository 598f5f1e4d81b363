"""URLs that try to make the server fetch what it should not, each with the expected status and message.

`tests/api/test_url_tricks.py` runs them; docs/security.md counts them by kind.
"""

import dataclasses
import urllib.parse

NOT_PUBLIC = "a host that can be found on the public internet"
NO_CONTROLS = "no spaces, control characters or backslashes"
NOT_A_URL = "expected http://HOST/PATH"
OTHER_SCHEME = "an http, https or data URI"
CREDENTIALS = "no user name or password"
OTHER_PORT = "a port for http or https"
PERCENT = "a host without a % in it"
NO_ANSWER = "an answer from public.example"
SLOW = "public.example was slower"
NOT_AN_IMAGE = "expected an image"
NOT_UTF8 = "can be encoded as UTF-8"


@dataclasses.dataclass(frozen=True)
class Trick:
    """One request with its expected outcome.

    Attributes:
        name: what is tried.
        url: what is sent; {port} is that of a private server on this machine, which must not be reached.
        status: of the answer; 200 where the photo comes through and nothing bad happens.
        message: words of the answer's message; empty for 200.
        reaches: whether that server is reached where private addresses are allowed, which shows that the trick is one.
    """

    name: str
    url: str
    status: int = 400
    message: str = ""
    reaches: bool = False


def _to_this_machine(name: str, host: str, reaches: bool = True) -> Trick:
    return Trick(name, f"http://{host}:{{port}}/", message=NOT_PUBLIC, reaches=reaches)


def _to_a_network(name: str, host: str) -> Trick:
    return Trick(name, f"http://{host}/", message=NOT_PUBLIC)


def _redirect(name: str, location: str, message: str, status: int = 400, reaches: bool = False) -> Trick:
    escaped = urllib.parse.quote(location, safe="{}:/@,")
    return Trick(name, f"http://public.example/away?{escaped}", status, message, reaches)


def _page(name: str, page: str, status: int, message: str = "") -> Trick:
    return Trick(name, f"http://public.example/{page}", status, message)


ADDRESSES = (
    _to_this_machine("loopback", "127.0.0.1"),
    _to_this_machine("another loopback address", "127.8.9.10"),
    _to_this_machine("decimal", "2130706433"),
    _to_this_machine("octal", "0177.0.0.1"),
    _to_this_machine("octal with many zeros", "0000000177.0.0.01"),
    _to_this_machine("hexadecimal", "0x7f000001"),
    _to_this_machine("hexadecimal parts", "0x7f.0x0.0x0.0x1"),
    _to_this_machine("mixed bases", "0x7f.0.01"),
    _to_this_machine("two parts", "127.1"),
    _to_this_machine("three parts", "127.0.1"),
    _to_this_machine("zero", "0"),
    _to_this_machine("all zeros", "0.0.0.0"),
    _to_this_machine("full-width digits", "\uff11\uff12\uff17.0.0.1"),
    _to_this_machine("full-width dots", "127\uff0e0\uff0e0\uff0e1"),
    _to_this_machine("ideographic full stops", "127\u30020\u30020\u30021"),
    _to_this_machine("digits in circles", "\u2460\u2461\u2466.0.0.1"),
    _to_this_machine("a soft hyphen in it", "127.0.0\u00ad.1"),
    _to_this_machine("a zero-width space in it", "127.0.\u200b0.1"),
    _to_this_machine("localhost", "localhost"),
    _to_this_machine("in capitals", "LOCALHOST"),
    _to_this_machine("letters that fold to it", "\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3"),
    _to_this_machine("with a trailing dot", "localhost.", reaches=False),
    _to_this_machine("IPv6 loopback", "[::1]", reaches=False),
    _to_this_machine("written out", "[0:0:0:0:0:0:0:1]", reaches=False),
    _to_this_machine("IPv6 unspecified", "[::]", reaches=False),
    _to_this_machine("mapped IPv4", "[::ffff:127.0.0.1]", reaches=False),
    _to_this_machine("mapped, in hexadecimal", "[::ffff:7f00:1]", reaches=False),
    _to_this_machine("compatible IPv4", "[::127.0.0.1]", reaches=False),
    _to_this_machine("translated IPv4 (SIIT)", "[::ffff:0:127.0.0.1]", reaches=False),
    _to_this_machine("NAT64", "[64:ff9b::7f00:1]", reaches=False),
    _to_this_machine("NAT64 of a local network", "[64:ff9b:1::7f00:1]", reaches=False),
    _to_this_machine("6to4", "[2002:7f00:1::]", reaches=False),
    _to_this_machine("ISATAP with a public prefix", "[2606:4700::5efe:7f00:1]", reaches=False),
    _to_this_machine("ISATAP of a private address", "[2606:4700::5efe:a00:1]", reaches=False),
    _to_this_machine("ISATAP with the universal bit", "[2606:4700::200:5efe:a9fe:a9fe]", reaches=False),
    _to_this_machine("Teredo", "[2001:0:53aa:64c::80ff:fffe]", reaches=False),
    Trick("a zone", "http://[::1%25lo]:{port}/", message=PERCENT),
    Trick("an unescaped zone", "http://[fe80::1%lo]:{port}/", message=PERCENT),
    Trick("a public address with a zone", "http://[2606:4700::1111%251]/", message=PERCENT),
    Trick("an escaped host", "http://127%2e0%2e0%2e1:{port}/", message=PERCENT),
    _to_a_network("IPv6 link-local", "[fe80::1]"),
    _to_a_network("IPv6 site-local", "[fec0::1]"),
    _to_a_network("IPv6 unique local", "[fd12:3456::1]"),
    _to_a_network("IPv6 multicast", "[ff02::1]"),
    _to_a_network("IPv6 documentation", "[3fff::1]"),
    _to_a_network("10/8", "10.1.2.3"),
    _to_a_network("172.16/12", "172.31.255.254"),
    _to_a_network("192.168/16", "192.168.1.1"),
    _to_a_network("shared address space", "100.64.0.1"),
    _to_a_network("benchmarking", "198.18.0.1"),
    _to_a_network("multicast", "224.0.0.1"),
    _to_a_network("reserved", "240.0.0.1"),
    _to_a_network("broadcast", "255.255.255.255"),
    _to_a_network("metadata: AWS, Google, Azure, OpenStack", "169.254.169.254"),
    _to_a_network("metadata, decimal", "2852039166"),
    _to_a_network("metadata, mapped", "[::ffff:a9fe:a9fe]"),
    _to_a_network("metadata: AWS over IPv6", "[fd00:ec2::254]"),
    _to_a_network("metadata: Alibaba", "100.100.100.200"),
    _to_a_network("metadata: Oracle", "192.0.0.192"),
    _to_a_network("the platform of Azure, a public address", "168.63.129.16"),
)

RESOLVED = (
    _to_this_machine("a name of 127.0.0.1", "private.example"),
    _to_this_machine("a name of 0.0.0.0", "zero.example"),
    _to_this_machine("a name of ::1", "six.example", reaches=False),
    _to_this_machine("a name of a mapped address", "mapped.example", reaches=False),
    _to_this_machine("a name of a NAT64 address", "nat64.example", reaches=False),
    _to_this_machine("public and private addresses", "mixed.example", reaches=False),
    _to_a_network("a name of the metadata address", "metadata.example"),
    _to_a_network("a name that does not exist: the same answer", "nosuch.example"),
    Trick("DNS that changes after the first resolution", "http://rebinding.example/photo.jpg", 200),
    Trick("the same, resolved again by a redirect", "http://rebinding.example/again", message=NOT_PUBLIC, reaches=True),
    Trick("DNS that was private at first", "http://flapping.example:{port}/", message=NOT_PUBLIC, reaches=True),
    Trick("a proxy of the environment on this machine", "http://public.example/photo.jpg?proxy", 200),
)

WRITING = (
    Trick("a file", "file:///etc/passwd", message=OTHER_SCHEME),
    Trick("a file on a host", "file://127.0.0.1/etc/passwd", message=OTHER_SCHEME),
    Trick("gopher", "gopher://127.0.0.1:{port}/_GET%20/", message=OTHER_SCHEME),
    Trick("ftp", "ftp://127.0.0.1:{port}/a.jpg", message=OTHER_SCHEME),
    Trick("dict", "dict://127.0.0.1:{port}/info", message=OTHER_SCHEME),
    Trick("a word before the URL", "url:http://127.0.0.1:{port}/", message=OTHER_SCHEME),
    Trick("javascript", "javascript:alert(1)", message=OTHER_SCHEME),
    Trick("no scheme", "//127.0.0.1:{port}/", message=OTHER_SCHEME),
    Trick("a path", "/etc/passwd", message=OTHER_SCHEME),
    Trick("no host", "http:///a.jpg", message=OTHER_SCHEME),
    Trick("a host as a path", "http:127.0.0.1:{port}/", message=OTHER_SCHEME),
    Trick("a bracket left open", "http://[::1/a.jpg", message=NOT_A_URL),
    Trick("a label without an end", "http://" + "a" * 64 + ".example/", message=NOT_A_URL),
    Trick("an empty label", "http://public..example/", message=NOT_A_URL),
    Trick("a letter that becomes a slash", "http://public.example\u2100.127.0.0.1:{port}/", message=NOT_A_URL),
    Trick("a user", "http://public.example@127.0.0.1:{port}/", message=CREDENTIALS),
    Trick("a user and a password", "http://user:secret@public.example/", message=CREDENTIALS),
    Trick("an empty user", "http://@127.0.0.1:{port}/", message=CREDENTIALS),
    Trick("two users", "http://a@public.example:80@127.0.0.1:{port}/", message=CREDENTIALS),
    Trick("a fragment before the user", "http://127.0.0.1:{port}#@public.example/", message=NOT_PUBLIC, reaches=True),
    Trick("a query before the user", "http://127.0.0.1:{port}?@public.example/", message=NOT_PUBLIC, reaches=True),
    Trick("a backslash before the user", "http://public.example\\@127.0.0.1:{port}/", message=NO_CONTROLS),
    Trick("backslashes for slashes", "http:\\\\127.0.0.1:{port}\\", message=NO_CONTROLS),
    Trick("a tab in the host", "http://127.0.\t0.1:{port}/", message=NO_CONTROLS),
    Trick("a newline in the host", "http://127.0.0\n.1:{port}/", message=NO_CONTROLS),
    Trick("a newline in the scheme", "ht\ntp://127.0.0.1:{port}/", message=NO_CONTROLS),
    Trick("a space before it", " http://127.0.0.1:{port}/", message=NO_CONTROLS),
    Trick("a header in the path", "http://public.example/ HTTP/1.1\r\nHost: 127.0.0.1", message=NO_CONTROLS),
    Trick("a header in the host", "http://public.example\r\nX-Injected:1/", message=NO_CONTROLS),
    Trick("an escaped header: it stays escaped", "http://public.example/photo.jpg?%0d%0aX-Injected:1", 200),
    Trick("letters that end in CR and LF bytes", "http://public.example/photo.jpg?\u560d\u560a", 200),
    Trick("a null", "http://127.0.0.1:{port}\0.public.example/", message=NO_CONTROLS),
    Trick("a very long URL", "http://public.example/" + "a" * 10_000, message="at most 8192 characters"),
    Trick("half of a surrogate pair in the host", "http://public\ud800.example/", message=NOT_UTF8),
    Trick("half of one in the path", "http://public.example/\udfff.jpg", message=NOT_UTF8),
    Trick("a byte that is not UTF-8", "http://public.example/photo.jpg?\udce9", message=NOT_UTF8),
    Trick("port 22", "http://public.example:22/", message=OTHER_PORT),
    Trick("port 25", "http://public.example:25/", message=OTHER_PORT),
    Trick("port 6379", "http://public.example:6379/", message=OTHER_PORT),
    Trick("port 0", "http://public.example:0/", message=OTHER_PORT),
    Trick("port 65616, which wraps to 80", "http://public.example:65616/", message=NOT_A_URL),
    Trick("a port in full-width digits", "http://public.example:\uff18\uff10/", message=NOT_A_URL),
    Trick("a negative port", "http://public.example:-80/", message=NOT_A_URL),
    Trick("two ports", "http://public.example:80:80/", message=NOT_A_URL),
    Trick("an international name: it works", "http://m\u00fcller.example/photo.jpg", 200),
)

REDIRECTS = (
    _redirect("to this machine", "http://127.0.0.1:{port}/", NOT_PUBLIC, reaches=True),
    _redirect("to IPv6 loopback", "http://[::1]:{port}/", NOT_PUBLIC),
    _redirect("to a name of this machine", "http://private.example:{port}/", NOT_PUBLIC, reaches=True),
    _redirect("without a scheme", "//127.0.0.1:{port}/", NOT_PUBLIC, reaches=True),
    _redirect("by https", "https://127.0.0.1:{port}/", NOT_PUBLIC, reaches=True),
    _redirect("to the metadata address", "http://169.254.169.254/latest/meta-data/", NOT_PUBLIC),
    _redirect("to a redirect to this machine", "/away?http://127.0.0.1:{port}/", NOT_PUBLIC, reaches=True),
    _redirect("to a file", "file:///etc/passwd", OTHER_SCHEME),
    _redirect("to gopher", "gopher://127.0.0.1:{port}/_x", OTHER_SCHEME),
    _redirect("to a data URI", "data:,text", OTHER_SCHEME),
    _redirect("to a broken address", "http://[::1", "a redirect to http://HOST/PATH"),
    _redirect("to a user", "http://public.example@127.0.0.1:{port}/", CREDENTIALS),
    _redirect("to backslashes", "\\\\127.0.0.1:{port}\\", NO_CONTROLS),
    _redirect("to a tab in the host, which is left out", "http://127.0.\t0.1:{port}/", NOT_PUBLIC, reaches=True),
    _redirect("to another port", "http://public.example:22/", OTHER_PORT),
    _redirect("to a relative path: it works", "photo.jpg", "", 200),
    _page("in a loop", "loop", 400, "at most 5 redirects"),
    _page("that take their time, one after another", "slow-loop", 400, SLOW),
    _page("without an address", "nowhere", 400, "answered 302"),
    _page("to bytes that are not UTF-8", "not-utf8", 400, NOT_UTF8),
    _page("by a Refresh header: it is not followed", "refresh", 415, NOT_AN_IMAGE),
)

ANSWERS = (
    _page("no word at all", "silent", 400, SLOW),
    _page("a head byte by byte", "slow-head", 400, SLOW),
    _page("a body byte by byte", "slow-body", 400, SLOW),
    _page("100 Continue for ever", "endless-continue", 400, SLOW),
    _page("headers for ever", "endless-headers", 400, NO_ANSWER),
    _page("a header without an end", "endless-header", 400, NO_ANSWER),
    _page("a body without an end", "endless-body", 413, "at most 1048576 bytes"),
    _page("chunks without an end", "endless-chunks", 413, "at most 1048576 bytes"),
    _page("trailers without an end", "endless-trailers", 400, NO_ANSWER),
    _page("a length beyond the limit", "large", 413, "at most 1048576 bytes"),
    _page("a length that is too large", "length-too-large", 400, "of 100000 bytes"),
    _page("a length that is too small", "length-too-small", 400, NO_ANSWER),
    _page("a negative length", "length-negative", 400, NO_ANSWER),
    _page("a length that is no number", "length-word", 400, NO_ANSWER),
    _page("no length", "no-length", 200),
    _page("chunks", "chunks", 200),
    _page("chunks of garbage", "chunks-garbage", 400, NO_ANSWER),
    _page("a chunk of negative size", "chunks-negative", 400, NO_ANSWER),
    _page("chunks cut off", "chunks-cut", 400, NO_ANSWER),
    _page("a gzip bomb as Content-Encoding", "gzip-bomb", 400, "with Content-Encoding gzip"),
    _page("an unknown encoding", "encoding", 400, "with Content-Encoding ?"),
    _page("a gzip file", "gzip", 415, NOT_AN_IMAGE),
    _page("a zip bomb", "zip-bomb", 413, "bytes when unpacked"),
    _page("an image of 60,000 x 60,000 pixels", "pixels", 413, "pixels"),
    _page("HTML as image/jpeg", "html", 415, NOT_AN_IMAGE),
    _page("a photo as text/html: the content decides", "photo-as-html", 200),
    _page("nothing", "empty", 400, "empty file"),
    _page("a part (206)", "part", 400, "answered 206"),
    _page("an error (500)", "error", 400, "answered 500"),
    _page("no HTTP", "no-http", 400, NO_ANSWER),
    _page("escape sequences for the log", "escapes", 400, NO_ANSWER),
)

DATA_URIS = (
    Trick("no comma", "data:image/png;base64", message="without a comma"),
    Trick("bad base64", "data:image/png;base64,!!!!", message="expected base64"),
    Trick("base64 of the wrong length", "data:;base64,YWJjZ", message="expected base64"),
    Trick("text", "data:text/html,%3Cscript%3E", 415, NOT_AN_IMAGE),
    Trick("text as an image", "data:image/png;base64,aGVsbG8=", 415, NOT_AN_IMAGE),
    Trick("nothing", "data:,", 400, "empty file"),
    Trick("too large", "data:," + "x" * 2_000_000, 413, "data URI of at most"),
    Trick("too large, escaped", "data:," + "%20" * 1_100_000, 413, "data URI of at most"),
    Trick("too large, in base64", "data:;base64," + "YWJj" * 500_000, 413, "data URI of at most"),
    Trick("half of a surrogate pair", "data:,\ud800", message=NOT_UTF8),
    Trick("half of one in base64", "data:image/png;base64,iVBOR\udce9", message=NOT_UTF8),
    Trick("an address inside", "data:http://127.0.0.1:{port}/,x", 415, NOT_AN_IMAGE),
)

GROUPS = {
    "Addresses": ADDRESSES,
    "Names": RESOLVED,
    "Ways to write a URL": WRITING,
    "Redirects": REDIRECTS,
    "What a server may answer": ANSWERS,
    "Data URIs": DATA_URIS,
}
TRICKS = tuple(trick for group in GROUPS.values() for trick in group)
