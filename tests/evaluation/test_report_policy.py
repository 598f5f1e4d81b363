"""The policy of reports: it allows the script of this version and no other."""

from model.evaluation.report import policy

BODY = b"<title>report</title>"


def _beginning(allowed: str) -> bytes:
    return policy._beginning(f"{policy._POLICY_WITHOUT_SCRIPT}{allowed}").encode()


def test_reports_of_this_and_of_earlier_versions_are_kept() -> None:
    for report in (policy.safe_beginning().encode() + BODY, _beginning("") + BODY):
        assert policy.made_safe(report) == report


def test_the_script_of_another_version_is_not_allowed() -> None:
    other = _beginning(f"; script-src 'sha256-{'A' * 43}='") + BODY
    assert policy.made_safe(other) == policy.safe_beginning().encode() + BODY


def test_any_other_policy_is_refused() -> None:
    two = f"; script-src 'sha256-{'A' * 43}=' 'sha256-{'A' * 43}='"
    for allowed in ("; script-src 'unsafe-inline'", "; script-src 'sha256-AAAA'", two, "; script-src *", "'; "):
        assert policy.made_safe(_beginning(allowed) + BODY) is None
    assert policy.made_safe(b"<!-- -->" + policy.safe_beginning().encode()) is None


def test_the_script_can_be_part_of_a_page() -> None:
    script = policy.report_script()
    assert "</script" not in script and "<!--" not in script and "\r" not in script and "{{" not in script
