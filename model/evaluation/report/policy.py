"""Content security policy of reports: a browser runs no script and loads nothing, also for an imported model.

Importing this module loads no other, so that the server can send the policy with a report.
"""

CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""As the report itself states it. Styles are part of the file, and cannot load anything either."""

SAFE_BEGINNING = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{CONTENT_SECURITY_POLICY}">
"""
"""The first lines of every report; a report of an imported model that begins differently is removed."""

RESPONSE_POLICY = "; ".join(
    [CONTENT_SECURITY_POLICY, "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "sandbox"]
)
"""As a server states it: in addition, the report has an origin of its own and cannot be shown inside another page."""
