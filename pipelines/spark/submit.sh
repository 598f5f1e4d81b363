#!/usr/bin/env bash
# Run `topgraft featurize` or `topgraft predict` on a cluster with the packed environment.
#
#   pipelines/spark/submit.sh SOURCE OUT [OPTIONS OF topgraft featurize]
#   COMMAND=predict pipelines/spark/submit.sh MODEL SOURCE --output OUT [OPTIONS OF topgraft predict]
#
#   COMMAND  featurize or predict; default: featurize
#   ARCHIVE  the packed environment, a path or an address; default: environment.tar.gz
#   MASTER   master of Spark; default: yarn
#   SUBMIT   further options of spark-submit, such as "--num-executors 10"
set -euo pipefail

COMMAND="${COMMAND:-featurize}"
ARCHIVE="${ARCHIVE:-environment.tar.gz}"
MASTER="${MASTER:-yarn}"
PACKED=./environment/bin/python
HERE="$(cd "$(dirname "$0")" && pwd)"

# The driver runs here, so that an interruption reaches it, with the environment unpacked next to this command. A new
# archive replaces it.
case "$ARCHIVE" in
    s3://*)
        BUCKET="${ARCHIVE#s3://}"
        FOUND="$(aws s3api head-object --bucket "${BUCKET%%/*}" --key "${BUCKET#*/}" --query ETag --output text)"
        ;;
    *) FOUND="$(sha256sum <"$ARCHIVE")" ;;
esac
UNPACKED=environment/unpacked-archive.txt
if [ "$(cat "$UNPACKED" 2>/dev/null)" != "$FOUND" ]; then
    if [ -e environment ] && [ ! -e "$UNPACKED" ]; then
        echo "Expected no folder environment, or one unpacked from $ARCHIVE. Remove $PWD/environment." >&2
        exit 1
    fi
    rm -rf environment
    mkdir environment
    # An interrupted unpacking is repeated.
    echo incomplete >"$UNPACKED"
    case "$ARCHIVE" in
        s3://*) aws s3 cp "$ARCHIVE" - | tar -xz -C environment ;;
        *) tar -xzf "$ARCHIVE" -C environment ;;
    esac
    echo "$FOUND" >"$UNPACKED"
fi
export PYSPARK_PYTHON="$PACKED" PYSPARK_DRIVER_PYTHON="$PACKED"
export TOPGRAFT_CACHE="$PWD/environment/share/topgraft-cache"
# One core for a task, 1 GB of JVM for an executor, 300 MB of Python for each of its cores.
# shellcheck disable=SC2086
exec spark-submit --master "$MASTER" --deploy-mode client --archives "$ARCHIVE#environment" \
    --conf spark.task.cpus=1 --conf spark.executor.memory=1g \
    --conf "spark.executor.memoryOverhead=$((300 * ${EXECUTOR_CORES:-4} + 384))m" \
    --conf "spark.executor.cores=${EXECUTOR_CORES:-4}" ${SUBMIT:-} \
    "$HERE/$COMMAND.py" "$@" --engine spark
