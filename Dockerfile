# The service: Swagger UI on port 5000, TensorBoard on 6006, an IDE on 8888 if `deep-start` starts one; the studio on
# 8090 if `topgraft studio --host 0.0.0.0` is the command.
#
#   docker build -t topgraft .
#   docker run -p 5000:5000 -v "$PWD/data:/srv/topgraft/data" -v "$PWD/models:/srv/topgraft/models" topgraft
#
# With CUDA for NVIDIA GPUs: --build-arg tag=2.19.0-gpu, and run with --gpus all; see docker/README.md.
# The hub's pipeline sets `tag` (of the base image) and `branch` (of this repository); see JenkinsConstants.groovy.
# Runs as the user `topgraft` (1000, group 0), as any other user ID with group 0, and on a read-only file system with
# /tmp and the volumes mounted.

ARG tag=2.19.0
FROM tensorflow/tensorflow:${tag}

# Arguments before FROM end there and are declared again.
ARG tag

ENV LANG=C.UTF-8 \
    SHELL=/bin/bash \
    PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PIP_BREAK_SYSTEM_PACKAGES=1 \
    TF_CPP_MIN_LOG_LEVEL=3 \
    ORT_DISABLE_TELEMETRY=1 \
    TOPGRAFT_HOME=/srv/topgraft \
    TOPGRAFT_BACKBONES=/srv/topgraft/models/.backbones \
    TOPGRAFT_TENSORBOARD_HOST=0.0.0.0 \
    RCLONE_CONFIG=/srv/.rclone/rclone.conf \
    DEEPAAS_V2_MODEL=topgraft \
    HOME=/srv/home \
    PATH=/srv/home/.local/bin:$PATH

# git, curl, ps: for deep-start and the IDEs that it installs. Fonts: for class names in PNG answers. Versions are not
# pinned, because they differ between base images.
# hadolint ignore=DL3008
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        ca-certificates curl git procps fonts-noto-color-emoji fonts-wqy-microhei \
    && apt-get clean && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log

# Starts DEEPaaS, JupyterLab or VS Code for the platform.
ARG deep_start=https://github.com/ai4os/deep-start
RUN git clone --quiet --depth 1 "${deep_start}" /srv/.deep-start \
    && ln -s /srv/.deep-start/deep-start.sh /usr/local/bin/deep-start

# Dependencies: a layer that is rebuilt only if setup.cfg changes. Includes the MLflow client, because the platform
# provides a server, and what pods need to run steps of pipelines. rclone is verified by its checksum.
ARG extras=mlflow,pipelines
WORKDIR /srv/topgraft
COPY setup.cfg docker/requirements.py docker/rclone.txt /tmp/dependencies/
RUN python3 /tmp/dependencies/requirements.py /tmp/dependencies/setup.cfg \
        --tag "${tag}" --extras "${extras}" > /tmp/dependencies/requirements.txt \
    && python3 -m pip install -r /tmp/dependencies/requirements.txt \
    && python3 -m pip install --require-hashes -r /tmp/dependencies/rclone.txt \
    && mkdir -p /srv/.rclone && touch /srv/.rclone/rclone.conf \
    && rm -rf /tmp/dependencies

COPY . .
# The group 0 can write to the folders for content, but not to the code: platforms such as OpenShift choose the user ID.
# The base image may have a user 1000.
ARG user=1000
RUN python3 -m pip install --no-deps --editable . \
    && { getent passwd 1000 || useradd --uid 1000 --gid 0 --no-create-home --home-dir /srv/home topgraft; } \
    && mkdir -p data models published /srv/home \
    && chgrp -R 0 data models published /srv/home /srv/.rclone /srv/.deep-start \
    && chmod -R g=u data models published /srv/home /srv/.rclone /srv/.deep-start

ARG branch=main
LABEL org.opencontainers.image.title="topgraft" \
      org.opencontainers.image.description="Image classifiers by transfer learning, served by DEEPaaS" \
      org.opencontainers.image.source="https://github.com/ai4os-hub/topgraft" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="docker.io/tensorflow/tensorflow:${tag}" \
      topgraft.branch="${branch}"

EXPOSE 5000 6006 8090 8888

HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["curl", "--fail", "--silent", "--output", "/dev/null", "http://127.0.0.1:5000/v2/models/"]

USER ${user}:0

# The platform replaces CMD, so the environment is prepared in the entry point.
ENTRYPOINT ["/srv/topgraft/docker/entrypoint.sh"]
CMD ["topgraft", "serve", "--host", "0.0.0.0", "--port", "5000", "--workers", "2"]
