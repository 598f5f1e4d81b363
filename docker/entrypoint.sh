#!/bin/sh
# Prepares the environment for every command in the container: the image's own, the platform's
# `deep-start --deepaas`, a training, or a shell.
set -eu

# The platform sets unused variables to an empty value.
for name in TOPGRAFT_HOME DEEPAAS_V2_MODEL RCLONE_CONFIG TOPGRAFT_TENSORBOARD_HOST OS_DEFAULT__WORKERS; do
    eval "value=\${$name:-}"
    [ -n "$value" ] || unset "$name"
done
export TOPGRAFT_HOME="${TOPGRAFT_HOME:-/srv/topgraft}"
export DEEPAAS_V2_MODEL="${DEEPAAS_V2_MODEL:-topgraft}"
export RCLONE_CONFIG="${RCLONE_CONFIG:-/srv/.rclone/rclone.conf}"
export TOPGRAFT_TENSORBOARD_HOST="${TOPGRAFT_TENSORBOARD_HOST:-0.0.0.0}"

# Default number of workers of `deepaas-run`, as started by deep-start: one for a training, one for predictions.
export OS_DEFAULT__WORKERS="${OS_DEFAULT__WORKERS:-2}"

# A mounted volume may be empty or read-only.
mkdir -p "$TOPGRAFT_HOME/data" "$TOPGRAFT_HOME/models" || echo "topgraft: $TOPGRAFT_HOME cannot be written to" >&2

exec "$@"
