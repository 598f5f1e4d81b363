"""Content security policy of reports: a browser runs only the report's own script and loads nothing.

That holds also for the report of an imported model. Importing this module loads no other, so that the server can send
the policy with a report.
"""

import base64
import functools
import hashlib
import re
from pathlib import Path

_SCRIPT = Path(__file__).parent / "report.js"
_POLICY_WITHOUT_SCRIPT = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_DIGEST = r"[A-Za-z0-9+/]{43}="


@functools.cache
def report_script() -> str:
    """The one script of every report: it shows photos, sorts tables and moves the confidence threshold."""
    return _SCRIPT.read_text(encoding="utf-8")


@functools.cache
def content_security_policy() -> str:
    """As the report itself states it: the script is allowed by its sha256. Styles cannot load anything."""
    return f"{_POLICY_WITHOUT_SCRIPT}; script-src 'sha256-{_digest(report_script())}'"


@functools.cache
def safe_beginning() -> str:
    """The first lines of every report."""
    return _beginning(content_security_policy())


@functools.cache
def response_policy(frame_ancestors: str = "'none'") -> str:
    """As a server states it: in addition, the report has an origin of its own.

    Args:
        frame_ancestors: the pages that may show the report in a frame: `'none'`, or `'self'` for those of the server.
    """
    others = ["base-uri 'none'", "form-action 'none'", f"frame-ancestors {frame_ancestors}", "sandbox allow-scripts"]
    return "; ".join([content_security_policy(), *others])


def made_safe(report: bytes) -> bytes | None:
    """A report that runs no script but that of this version; None if it does not begin with a policy of Topgraft.

    The report of another version keeps its content. Its script is not run, and the page is complete without it.
    """
    beginning = safe_beginning().encode()
    if report.startswith((beginning, _beginning(_POLICY_WITHOUT_SCRIPT).encode())):
        return report
    of_any_version = re.escape(_beginning(f"{_POLICY_WITHOUT_SCRIPT}; script-src 'sha256-DIGEST'"))
    found = re.match(of_any_version.replace("DIGEST", _DIGEST).encode(), report)
    return None if found is None else beginning + report[found.end() :]


def _beginning(policy: str) -> str:
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
"""


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
