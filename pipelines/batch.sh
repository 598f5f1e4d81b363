#!/usr/bin/env bash
# A training as a batch job: what the platform's batch mode, Slurm or a cron job runs in the image.
#
#   DATASET=rshare:datasets/photos.tar NAME=pets UPLOAD_TO=rshare:models pipelines/batch.sh [OPTION OF TRAIN ...]
#
# DATASET    a name in data/, a path, or remote:path
# NAME       of the model; the same name again goes on with the same training
# UPLOAD_TO  where the model goes, remote:path; empty: it stays in models/
#
# Exit status 0: the model is there, and where it was to be sent. Otherwise that of what failed: 2 usage, 3 the dataset,
# 5 the storage, 130 asked to stop. Run again it goes on: after SIGTERM, a kill or a lost machine with the training,
# after a failed upload with the upload.
set -euo pipefail

if [ -z "${DATASET:-}" ] || [ -z "${NAME:-}" ]; then
    echo "batch.sh: expected DATASET and NAME in the environment, received DATASET='${DATASET:-}' NAME='${NAME:-}'." >&2
    exit 2
fi

# The shell itself would wait for the command's end before it heeds a signal; schedulers do not wait that long.
heeding_signals() {
    "$@" &
    local child=$! status=0
    trap 'kill -TERM "$child" 2>/dev/null || true' TERM INT
    wait "$child" || status=$?
    # A signal ends `wait`, not the command.
    while kill -0 "$child" 2>/dev/null; do
        status=0
        wait "$child" || status=$?
    done
    trap - TERM INT
    return "$status"
}

heeding_signals topgraft train --dataset "$DATASET" --name "$NAME" --auto-resume --json "$@"
if [ -n "${UPLOAD_TO:-}" ]; then
    heeding_signals topgraft push "$NAME" "$UPLOAD_TO"
fi
