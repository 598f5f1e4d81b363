# The service: Swagger UI on port 5000, TensorBoard on 6006.
#
#   docker build -t topgraft .
#   docker run -p 5000:5000 -v "$PWD/data:/srv/topgraft/data" -v "$PWD/models:/srv/topgraft/models" topgraft
#
# With CUDA for an NVIDIA GPU: --build-arg extras=gpu,mlflow, and run with --gpus all.

ARG tag=3.11-slim-bookworm
FROM docker.io/library/python:${tag}

# The platform names an MLflow server, hence its client.
ARG extras="mlflow"

LABEL org.opencontainers.image.title="topgraft" \
      org.opencontainers.image.licenses="Apache-2.0"

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    TF_CPP_MIN_LOG_LEVEL=3 \
    ORT_DISABLE_TELEMETRY=1 \
    TOPGRAFT_HOME=/srv/topgraft \
    DEEPAAS_V2_MODEL=topgraft

# For pictures of answers: names of classes in Chinese, Japanese, Korean, and emoji.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends fonts-wqy-microhei fonts-noto-color-emoji \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /srv/topgraft
COPY . .
RUN pip install --editable ".${extras:+[${extras}]}"

EXPOSE 5000 6006 8080
CMD ["topgraft", "serve", "--host", "0.0.0.0", "--port", "5000", "--workers", "2"]
