#!/usr/bin/env bash
# Bootstrap action of EMR 7.1 or later: checks that the Python of the packed environment is there.
#
# emr-cluster.sh starts the cluster with it, and with PYSPARK_PYTHON=python3.11.
set -euo pipefail

if ! command -v python3.11 >/dev/null; then
    sudo dnf install -y python3.11 || true
fi
if ! command -v python3.11 >/dev/null; then
    echo "Expected python3.11. EMR 7.0 has Python 3.9 only, which is too old for Topgraft: use EMR 7.1 or later." >&2
    exit 1
fi
