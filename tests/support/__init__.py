"""Shared helpers of the tests: photos, servers and injected faults."""
