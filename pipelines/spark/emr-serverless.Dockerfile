# Image of EMR Serverless for `topgraft featurize`: build it after pack.sh, in the folder of environment.tar.gz.
# hadolint ignore=DL3007
FROM public.ecr.aws/emr-serverless/spark/emr-7.10.0:latest

USER root
# hadolint ignore=DL3041
RUN dnf install -y python3.11 && dnf clean all
ADD environment.tar.gz /opt/topgraft
COPY pipelines/spark/featurize.py /opt/topgraft/featurize.py
ENV PYSPARK_PYTHON=/opt/topgraft/bin/python PYSPARK_DRIVER_PYTHON=/opt/topgraft/bin/python \
    TOPGRAFT_CACHE=/opt/topgraft/share/topgraft-cache
USER hadoop:hadoop
