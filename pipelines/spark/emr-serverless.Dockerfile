# Image of EMR Serverless for `topgraft featurize`: build it in the folder of environment.tar.gz, which the Dockerfile next
# to this file made, and push it to ECR. Then, with BUCKET filled in emr-serverless-job.json:
#
#   aws emr-serverless create-application --name topgraft --type SPARK --release-label emr-7.10.0 \
#       --image-configuration imageUri=ACCOUNT.dkr.ecr.REGION.amazonaws.com/topgraft:latest
#   aws emr-serverless start-job-run --application-id APPLICATION --execution-role-arn ROLE \
#       --job-driver file://pipelines/spark/emr-serverless-job.json
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
