"""Links as people copy them from a browser: the URL of the file behind them, and pages in place of files."""

import re
import urllib.parse

# Page of a public link of Nextcloud and ownCloud, also below a folder of the host, and of a password that it asks for.
_SHARE = re.compile(
    r"(?P<page>https?://[^?#]+?/s/[A-Za-z0-9_-]+)(?:/authenticate(?:/\w+)?)?/?(?:\?(?P<query>[^#]*))?(?:#.*)?",
    re.IGNORECASE,
)
_SHARE_PATH = re.compile(r"(/index\.php)?/s/[A-Za-z0-9_-]+$")
_FOLDER_NAMES = ("path", "dir")
_GOOGLE_FILE = re.compile(
    r"https://(?:drive|docs)\.google\.com/(?:file/(?:u/\d+/)?d/(?P<id>[\w-]+)|(?:open|uc)\?(?:.*&)?id=(?P<other>[\w-]+))"
    r".*"
)
_DROPBOX = re.compile(r"https://(?:www\.)?dropbox\.com/(?:s|sh|scl)/.*", re.IGNORECASE)
_SHAREPOINT = re.compile(r"https://[\w.-]+\.sharepoint\.com/:[a-z]:/.*", re.IGNORECASE)
_REPOSITORY_PAGE = re.compile(
    r"(?P<start>https://(?:github\.com/[^/]+/[^/]+|huggingface\.co/.+?|[^/]*gitlab[^/]*/.+?/-))/blob/(?P<rest>[^?#]+).*"
)
_ZENODO_FILE = re.compile(r"(?P<file>https://zenodo\.org/records?/\d+/(?:files|preview)/[^?#]+).*")

_BEGINS_AS_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|body|script|!--)", re.IGNORECASE)
_PAGE_TYPES = ("text/html", "application/xhtml+xml")
_PASSWORD_FIELD = re.compile(rb"type=.?password", re.IGNORECASE)
_LOGIN = re.compile(
    r"/(?:login|signin|sign_in|sso|oauth|authorize|adfs|saml|accounts?)\b|^https://(?:login|accounts)\."
)


def download_url(url: str) -> str:
    """URL of the file behind a link to a page, if the form of the link is known; any other URL is returned unchanged.

    Known are public links of Nextcloud and ownCloud (also of a folder, which is downloaded as a zip, and of a file in
    it), Google Drive, Dropbox, SharePoint, Zenodo, GitHub, GitLab and Hugging Face.
    """
    if (share := _SHARE.fullmatch(url)) and _SHARE_PATH.search(urllib.parse.urlsplit(share["page"]).path):
        return _share_download(share)
    if found := _GOOGLE_FILE.fullmatch(url):
        number = found["id"] or found["other"]
        return f"https://drive.usercontent.google.com/download?id={number}&export=download&confirm=t"
    if _DROPBOX.fullmatch(url):
        return _with_query(url, dl="1")
    if _SHAREPOINT.fullmatch(url):
        return _with_query(url, download="1")
    if found := _ZENODO_FILE.fullmatch(url):
        return f"{found['file'].replace('/preview/', '/files/')}?download=1"
    if found := _REPOSITORY_PAGE.fullmatch(url):
        return f"{found['start']}/{'resolve' if 'huggingface.co' in found['start'] else 'raw'}/{found['rest']}"
    return url


def page_received(shown: str, final_url: str, kind: str, beginning: bytes) -> str:
    """Message about a web page received in place of a file; empty if the content does not begin as a page.

    Args:
        shown: the URL, for the message.
        final_url: URL after redirects.
        kind: the Content-Type.
        beginning: first bytes of the content.
    """
    if kind.partition(";")[0].strip().lower() not in _PAGE_TYPES and not _BEGINS_AS_PAGE.match(beginning):
        return ""
    host = urllib.parse.urlsplit(final_url).hostname or "the server"
    by_hand = "open the link in a browser, download the file there, and give its path instead"
    if "/authenticate" in final_url or ("/s/" in final_url and _PASSWORD_FIELD.search(beginning)):
        return (
            f"{shown}: expected a file, received a page of {host} that asks for a password. To use the file, {by_hand}."
        )
    if _LOGIN.search(final_url):
        return (
            f"{shown}: expected a file, received a login page of {host}. The link is not public: create a public "
            f"link to the file, or {by_hand}; for your own Nextcloud, use remote:path."
        )
    return (
        f"{shown}: expected a file, received a web page of {host}. Copy the address of the download itself, such as "
        f"that of the download button, check that the link is public, or {by_hand}."
    )


def _share_download(share: re.Match[str]) -> str:
    """URL of the download of a public link; `path` and `files` name a folder and a file in a shared folder."""
    query = dict(urllib.parse.parse_qsl(share["query"] or ""))
    folder = next((query[name] for name in _FOLDER_NAMES if query.get(name, "/") != "/"), "")
    chosen = {name: value for name, value in (("path", folder), ("files", query.get("files", ""))) if value}
    return f"{share['page']}/download{'?' + urllib.parse.urlencode(chosen) if chosen else ''}"


def _with_query(url: str, **values: str) -> str:
    """URL with these values in its query."""
    parts = urllib.parse.urlsplit(url)
    query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True)) | values
    return parts._replace(query=urllib.parse.urlencode(query), fragment="").geturl()
