#!/usr/bin/env bash
# Start a cluster of EMR that computes the features of s3://BUCKET/photos into s3://BUCKET/features, and then ends.
#
#   pipelines/spark/emr-cluster.sh BUCKET REGION SUBNET
#
# The region is that of the photos: data stays in it, and no transfer is paid. Before the first run:
#
#   aws s3 cp environment.tar.gz s3://BUCKET/topgraft/
#   aws s3 cp pipelines/spark/featurize.py s3://BUCKET/topgraft/
#   aws s3 cp pipelines/spark/emr-bootstrap.sh s3://BUCKET/topgraft/
#   aws emr create-default-roles
#
# Change machines, versions and arguments in the files emr-*.json next to this one.
set -euo pipefail

if [ $# -ne 3 ]; then
    echo "Expected BUCKET REGION SUBNET, such as: $0 my-bucket eu-central-1 subnet-0123456789abcdef0" >&2
    exit 2
fi
BUCKET="$1" REGION="$2" SUBNET="$3"
FILES="$(cd "$(dirname "$0")" && pwd)"
FOLDER="$(mktemp -d)"
trap 'rm -rf "$FOLDER"' EXIT

sed -e "s|BUCKET|$BUCKET|g" -e "s|=REGION|=$REGION|g" "$FILES/emr-steps.json" >"$FOLDER/steps.json"
aws emr create-cluster --name topgraft --region "$REGION" --release-label emr-7.10.0 --applications Name=Spark \
    --use-default-roles --ec2-attributes "SubnetId=$SUBNET" --log-uri "s3://$BUCKET/logs/" --auto-terminate \
    --bootstrap-actions "Path=s3://$BUCKET/topgraft/emr-bootstrap.sh,Name=python3.11" \
    --instance-groups "file://$FILES/emr-instance-groups.json" \
    --configurations "file://$FILES/emr-configurations.json" \
    --steps "file://$FOLDER/steps.json"
