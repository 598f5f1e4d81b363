#!/bin/sh
# Prepares the environment for every command in the container: the image's own, the platform's
# `deep-start --deepaas`, a training, or a shell.
set -eu

# The platform sets unused variables to an empty value.
for name in TOPGRAFT_HOME TOPGRAFT_BACKBONES DEEPAAS_V2_MODEL RCLONE_CONFIG TOPGRAFT_TENSORBOARD_HOST OS_DEFAULT__WORKERS; do
    eval "value=\${$name:-}"
    [ -n "$value" ] || unset "$name"
done
export TOPGRAFT_HOME="${TOPGRAFT_HOME:-/srv/topgraft}"
export TOPGRAFT_BACKBONES="${TOPGRAFT_BACKBONES:-$TOPGRAFT_HOME/models/.backbones}"
export DEEPAAS_V2_MODEL="${DEEPAAS_V2_MODEL:-topgraft}"
export RCLONE_CONFIG="${RCLONE_CONFIG:-/srv/.rclone/rclone.conf}"
export TOPGRAFT_TENSORBOARD_HOST="${TOPGRAFT_TENSORBOARD_HOST:-0.0.0.0}"

# Default number of workers of `deepaas-run`, as started by deep-start: one for a training, one for predictions.
export OS_DEFAULT__WORKERS="${OS_DEFAULT__WORKERS:-2}"

# Another user ID of the same group continues the work on a volume.
umask 0002

# A mounted volume may be empty or read-only, or belong to another user.
for folder in "$TOPGRAFT_HOME/data" "$TOPGRAFT_HOME/models"; do
    mkdir -p "$folder" 2>/dev/null || :
done
if [ ! -w "$TOPGRAFT_HOME/models" ]; then
    user=$(id -u)
    echo "topgraft: $TOPGRAFT_HOME/models cannot be written to by user $user, group $(id -g): the container predicts," \
        "but does not train. If it is meant to train, mount the folder without :ro, and run the container with" \
        "--user \"\$(id -u):0\" of the folder's owner, or change the owner: chown -R $user FOLDER" >&2
fi

# The installation of an IDE by deep-start writes to system folders.
if [ "${1:-}" = deep-start ] && [ "$(id -u)" -ne 0 ] && ! command -v code-server >/dev/null; then
    for word in "$@"; do
        case "$word" in
        -s | --vscode)
            echo "topgraft: installing VS Code requires root. Run the container with --user 0, or build the image with" \
                "--build-arg user=0" >&2
            ;;
        esac
    done
fi

# JupyterLab opens in the current folder. Its notebooks write files next to them, where the code cannot be written to.
open_notebooks() {
    source=$(dirname "$(dirname "$(readlink -f "$0")")")
    for folder in notebooks pipelines; do
        [ -e "$HOME/$folder" ] || cp -R "$source/$folder" "$HOME/$folder" || return 0
    done
    cd "$HOME"
}
if [ "${1:-}" = deep-start ] && [ -w "${HOME:-}" ]; then
    for word in "$@"; do
        case "$word" in
        --jupyter | -[!-]*j* | -j*) open_notebooks ;;
        esac
    done
fi

exec "$@"
