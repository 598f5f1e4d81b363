#!/bin/sh
# What must hold in the container before its command starts, whether that is the image's own, the platform's
# `deep-start --deepaas`, a training, or a shell.
set -eu

# The platform sets what it does not use to an empty text.
for name in TOPGRAFT_HOME DEEPAAS_V2_MODEL RCLONE_CONFIG TOPGRAFT_TENSORBOARD_HOST OS_DEFAULT__WORKERS; do
    eval "value=\${$name:-}"
    [ -n "$value" ] || unset "$name"
done
export TOPGRAFT_HOME="${TOPGRAFT_HOME:-/srv/topgraft}"
export DEEPAAS_V2_MODEL="${DEEPAAS_V2_MODEL:-topgraft}"
export RCLONE_CONFIG="${RCLONE_CONFIG:-/srv/.rclone/rclone.conf}"
export TOPGRAFT_TENSORBOARD_HOST="${TOPGRAFT_TENSORBOARD_HOST:-0.0.0.0}"

# How many workers `deepaas-run` starts where it is not told, as by deep-start: one for a training, one to answer.
export OS_DEFAULT__WORKERS="${OS_DEFAULT__WORKERS:-2}"

# A storage that is mounted in their place may be empty, and may not be written to.
mkdir -p "$TOPGRAFT_HOME/data" "$TOPGRAFT_HOME/models" || echo "topgraft: $TOPGRAFT_HOME cannot be written to" >&2

exec "$@"
