"""The commands for EMR, run by the real AWS command line against a server that only records what it sends."""

import http.server
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.http_server import answer, http_server
from tests.support.separate_environments import separate_environment

FOLDER = Path(__file__).resolve().parents[2] / "pipelines" / "spark"
pytestmark = [pytest.mark.slow, pytest.mark.system]


@pytest.fixture(scope="module")
def aws() -> Path:
    """Folder of the program `aws`."""
    return separate_environment("awscli", ["awscli>=1.40,<2"])


def _sent(aws: Path, folder: Path, *command: object) -> dict[str, Any]:
    """The document that a command sends to AWS."""
    bodies: list[bytes] = []

    class Recorder(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            answer(self, 200, b'{"JobFlowId": "j-1", "ClusterArn": "arn", "applicationId": "a", "jobRunId": "b"}')

    programs = folder / "programs"
    programs.mkdir()
    with http_server(Recorder) as address:
        # The commands of EMR do not read AWS_ENDPOINT_URL.
        (programs / "aws").write_text(f'#!/bin/sh\nexec {aws}/aws --endpoint-url {address} "$@"\n')
        (programs / "aws").chmod(0o755)
        variables = {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        ran = subprocess.run(
            list(map(str, command)),
            env=variables,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    [body] = bodies
    sent: dict[str, Any] = json.loads(body)
    return sent


def test_the_cluster_runs_the_command_and_ends(aws: Path, tmp_path: Path) -> None:
    sent = _sent(aws, tmp_path, FOLDER / "emr-cluster.sh", "fruit", "eu-west-1", "subnet-1")
    [step] = sent["Steps"]
    arguments = step["HadoopJarStep"]["Args"]
    assert arguments[-4:] == ["s3://fruit/photos", "s3://fruit/features", "--engine", "spark"]
    assert "spark.yarn.appMasterEnv.AWS_REGION=eu-west-1" in arguments
    assert not any("BUCKET" in text or text.endswith("REGION") for text in arguments)
    instances = sent["Instances"]
    assert not instances["KeepJobFlowAliveWhenNoSteps"] and instances["Ec2SubnetId"] == "subnet-1"
    assert [group["InstanceRole"] for group in instances["InstanceGroups"]] == ["MASTER", "CORE"]
    assert sent["Configurations"] == json.loads((FOLDER / "emr-configurations.json").read_text())
    [action] = sent["BootstrapActions"]
    assert action["ScriptBootstrapAction"]["Path"] == "s3://fruit/topgraft/emr-bootstrap.sh"


def test_the_job_of_emr_serverless_is_accepted(aws: Path, tmp_path: Path) -> None:
    options = ("--application-id", "00f1abcdefgh", "--execution-role-arn", "arn:aws:iam::123456789012:role/topgraft")
    job = FOLDER / "emr-serverless-job.json"
    sent = _sent(aws, tmp_path, "aws", "emr-serverless", "start-job-run", *options, "--job-driver", f"file://{job}")
    assert sent["jobDriver"] == json.loads(job.read_text())


def test_the_application_of_emr_serverless_is_accepted(aws: Path, tmp_path: Path) -> None:
    options = ("--name", "topgraft", "--type", "SPARK", "--release-label", "emr-7.10.0")
    image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/topgraft:latest"
    command = ("aws", "emr-serverless", "create-application", *options, "--image-configuration", f"imageUri={image}")
    assert _sent(aws, tmp_path, *command)["imageConfiguration"] == {"imageUri": image}
