#!/usr/bin/env bash
# Pack the Python environment of the executors, and of the driver, into environment.tar.gz.
#
#   pipelines/spark/pack.sh [BACKBONE] [IMAGE_SIZE]
#
# The archive holds Topgraft and the packages that requirements.py lists, without TensorFlow, and the converted backbone,
# for `topgraft featurize`. Its Python is a link: the same version must be at the same path on all machines. Build it on the
# system that the cluster runs; for EMR, with the Dockerfile next to this file.
#
#   PYTHON     Python of the cluster; default: python3
#   CONVERTER  topgraft that converts the backbone, with TensorFlow; default: topgraft
set -euo pipefail

PYTHON="${PYTHON:-python3}"
CONVERTER="${CONVERTER:-topgraft}"
BACKBONE="${1:-EfficientNetLite0}"
IMAGE_SIZE="${2:-}"
ROOT="$(cd "$(dirname "$0")/../.." && pwd)"
FOLDER="$(mktemp -d)"
trap 'rm -rf "$FOLDER"' EXIT

"$PYTHON" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' || {
    echo "Topgraft needs Python 3.10, 3.11 or 3.12, found $("$PYTHON" --version). Set PYTHON, such as PYTHON=python3.11" >&2
    exit 1
}
"$PYTHON" -m venv --copies "$FOLDER/environment"
PIP=("$FOLDER/environment/bin/python" -m pip --disable-pip-version-check --no-input install --quiet)
"$PYTHON" "$ROOT/pipelines/spark/requirements.py" >"$FOLDER/requirements.txt"
"${PIP[@]}" --requirement "$FOLDER/requirements.txt" venv-pack
"${PIP[@]}" --no-deps "$ROOT"

# The cache with the backbone travels inside the environment: no executor needs TensorFlow.
CACHE="$FOLDER/environment/share/topgraft-cache"
if command -v "$CONVERTER" >/dev/null; then
    mkdir -p "$FOLDER/photos" "$CACHE"
    "$FOLDER/environment/bin/python" -c \
        "from PIL import Image; Image.new('RGB', (32, 32)).save('$FOLDER/photos/one.png')"
    TOPGRAFT_CACHE="$CACHE" "$CONVERTER" featurize "$FOLDER/photos" "$FOLDER/out" --backbone "$BACKBONE" \
        ${IMAGE_SIZE:+--image-size "$IMAGE_SIZE"} >/dev/null
else
    echo "No backbone is packed, because $CONVERTER was not found: use --model, or set CONVERTER." >&2
fi
"$FOLDER/environment/bin/python" -m venv_pack --prefix "$FOLDER/environment" --output environment.tar.gz --force --quiet
echo "environment.tar.gz: $(du -h environment.tar.gz | cut -f1)"
