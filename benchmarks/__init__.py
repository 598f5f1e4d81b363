"""Benchmarks of speed, memory and accuracy, each against a baseline in the same run.

Each module measures one claim: `python -m benchmarks.NAME` prints Markdown; `python -m benchmarks` runs all and writes
the tables into docs/benchmarks.md. They need `pip install -e ".[test]"` and Linux.
"""
