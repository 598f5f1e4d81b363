#!/usr/bin/env bash
# Trains a model as a batch job, for the platform's batch mode, Slurm or cron.
#
#   DATASET=rshare:datasets/photos.tar NAME=pets UPLOAD_TO=rshare:models pipelines/batch.sh [OPTION OF TRAIN ...]
#
# DATASET    a name in data/, a path, or remote:path
# NAME       name of the model; running again with the same name resumes the training
# UPLOAD_TO  remote:path for the model; if empty, it is not uploaded
#
# Exit status 0: the model exists and was uploaded. Otherwise that of the failed step: 2 usage, 3 dataset, 5 storage,
# 130 stopped by a signal. Run it again to resume the training after SIGTERM, a kill or a lost machine, or the upload
# after a failed upload.
set -euo pipefail

if [ -z "${DATASET:-}" ] || [ -z "${NAME:-}" ]; then
    echo "batch.sh: expected DATASET and NAME in the environment, received DATASET='${DATASET:-}' NAME='${NAME:-}'." >&2
    exit 2
fi

# Run in the background: the shell handles signals only after a foreground command has ended.
heeding_signals() {
    "$@" &
    local child=$! status=0
    trap 'kill -TERM "$child" 2>/dev/null || true' TERM INT
    wait "$child" || status=$?
    # A signal interrupts `wait`, not the command.
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
