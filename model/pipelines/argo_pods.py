"""Pods of the documents for Argo Workflows: steps, promotion, check of the labels."""

import dataclasses
import json
import re
import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from model.pipelines.steps import GPU_VENDOR, ParameterValue, Pipeline, Promotion, Step

if TYPE_CHECKING:
    from hera.workflows import models as hera

PREFIX, PROMOTE, CHECK_LABELS, FINISH = "prefix", "promote", "check-labels", "finish"
CHANGED, CHECKSUM = "changed", "checksum"
CANDIDATES = "candidates"
FOLDER = "/work"
WORKSPACE = "/workspace"
CLAIM = "topgraft-workspace"

_RUN = "RUN"
_SECONDS_OF_STEP, _SECONDS_OF_GPU_STEP = 2 * 3600, 8 * 3600
_RETRIES = 2
# Remote storage that does not respond; a pod that was removed or ran out of memory. Other errors come again.
_RETRIED = 'lastRetry.status == "Error" or lastRetry.exitCode in ["5", "137", "143"]'

_PROMOTE_SCRIPT = """\
set -eu
for archive in {folder}/*; do
    name="$RUN-$(basename "$archive" {suffix})"
    topgraft models show "$name" >/dev/null 2>&1 || topgraft import "$archive" --name "$name"
    set -- "$@" "$name"
done
status=0
topgraft models promote "$@" --if-better {dataset} --json > promoted.json || status=$?
# 6: no model is better.
[ "$status" -eq 0 ] || [ "$status" -eq 6 ] || exit "$status"
latest=$(python -c 'import json; print(json.load(open("promoted.json"))["latest"])')
# The others are still in S3.
for name in "$@"; do
    [ "$name" = "$latest" ] || topgraft models remove "$name" --yes
done
"""
# The folder stays on the volume: photos keep their splits.
_CHECK_SCRIPT = """\
set -eu
folder="$TOPGRAFT_HOME/retraining/{name}"
topgraft pipeline run {name} --only {step} --directory "$folder" "$@"
mkdir -p "$(dirname {dataset})"
cp -R "$folder"/{dataset} {dataset}
python -m model.pipelines.dataset_checksum {dataset} checksum
# The other file is written after a training: a failed one is tried again.
if cmp -s checksum "$folder/trained.sha256"; then printf false; else printf true; fi > changed
"""
_FINISH_SCRIPT = """\
set -eu
cd "$TOPGRAFT_HOME/retraining/{name}"
printf '%s\\n' "$CHECKSUM" > trained.sha256.new
mv trained.sha256.new trained.sha256
"""


def workflow_parameter(name: str) -> str:
    """Reference to a parameter of the workflow."""
    return f"{{{{workflow.parameters.{name}}}}}"


def artifact_name(output: str) -> str:
    """Name of the artifact of an input or output; Argo allows letters, digits, `-` and `_`."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", output.removesuffix("/"))


def parameter_text(value: ParameterValue) -> str:
    """Value of a parameter, which is always text in Argo."""
    return value if isinstance(value, str) else json.dumps(value)


def step_template(pipeline: Pipeline, step: Step, promotion: Promotion | None = None) -> "hera.Template":
    """The pod of a step: `topgraft pipeline run` with this step only.

    Args:
        promotion: of the step that trains one of several models, which differ in a parameter.
    """
    from hera.workflows import models as hera

    variant = "" if promotion is None else f"/{_input_parameter(promotion.parameter)}"
    command = ["topgraft", "pipeline", "run", pipeline.name, "--only", step.name, "--directory", FOLDER]
    outputs = [
        _written(
            output,
            _candidate_key(promotion)
            if promotion is not None and output == promotion.model
            else f"{_key(step.name)}{variant}/{output.removesuffix('/')}",
        )
        for output in step.outputs
    ]
    return _pod(
        step,
        step.name,
        inputs=hera.Inputs(
            parameters=[hera.Parameter(name=name) for name in step.parameters] or None,
            artifacts=[hera.Artifact(name=artifact_name(name), path=_path(name)) for name in step.inputs] or None,
        ),
        outputs=hera.Outputs(artifacts=outputs) if outputs else None,
        command=command,
        arguments=_given(step),
        variables=list(step.environment),
    )


def promote_template(pipeline: Pipeline, promotion: Promotion, trained: Step) -> "hera.Template":
    """The pod that imports the trained models into the workspace, and promotes the best."""
    from hera.workflows import models as hera

    script = _PROMOTE_SCRIPT.format(
        folder=CANDIDATES,
        suffix=shlex.quote(_suffix(promotion.model)),
        dataset=shlex.quote(promotion.dataset.removesuffix("/")),
    )
    candidates = hera.Artifact(name=CANDIDATES, path=_path(CANDIDATES), s3=hera.S3Artifact(key=_key(CANDIDATES)))
    dataset = hera.Artifact(name=artifact_name(promotion.dataset), path=_path(promotion.dataset))
    return _pod(
        _without_gpu(trained, pipeline),
        PROMOTE,
        inputs=hera.Inputs(artifacts=[candidates, dataset]),
        command=["sh", "-c", script],
        variables=[(_RUN, "{{workflow.name}}")],
        with_workspace=True,
    )


def check_template(pipeline: Pipeline, promotion: Promotion) -> "hera.Template":
    """The pod that makes the dataset again, and reports whether a training is due."""
    from hera.workflows import models as hera

    step = pipeline.producer(promotion.dataset)
    dataset = promotion.dataset.removesuffix("/")
    script = _CHECK_SCRIPT.format(name=pipeline.name, step=step.name, dataset=shlex.quote(dataset))
    reported = [hera.Parameter(name=name, value_from=hera.ValueFrom(path=_path(name))) for name in (CHANGED, CHECKSUM)]
    return _pod(
        step,
        CHECK_LABELS,
        inputs=hera.Inputs(parameters=[hera.Parameter(name=name) for name in step.parameters]),
        outputs=hera.Outputs(parameters=reported, artifacts=[_written(dataset, f"{_key(CHECK_LABELS)}/{dataset}")]),
        command=["sh", "-c", script, "sh"],
        arguments=_given(step),
        variables=list(step.environment),
        with_workspace=True,
    )


def finish_template(pipeline: Pipeline) -> "hera.Template":
    """The pod that saves the checksum of the dataset that the models are trained on."""
    from hera.workflows import models as hera

    return _pod(
        _without_gpu(pipeline.steps[0], pipeline),
        FINISH,
        inputs=hera.Inputs(parameters=[hera.Parameter(name=CHECKSUM)]),
        command=["sh", "-c", _FINISH_SCRIPT.format(name=pipeline.name)],
        variables=[("CHECKSUM", _input_parameter(CHECKSUM))],
        with_workspace=True,
    )


def _input_parameter(name: str) -> str:
    """Reference to a parameter of the template."""
    return f"{{{{inputs.parameters.{name}}}}}"


def _given(step: Step) -> list[str]:
    return [f"--parameter={name}={_input_parameter(name)}" for name in step.parameters]


def _written(output: str, key: str) -> "hera.Artifact":
    """An output that is stored as it is."""
    from hera.workflows import models as hera

    return hera.Artifact(
        name=artifact_name(output),
        path=_path(output),
        archive=hera.ArchiveStrategy(none=hera.NoneStrategy()),
        s3=hera.S3Artifact(key=key),
    )


def _pod(
    step: Step,
    name: str,
    command: Sequence[str],
    arguments: Sequence[str] = (),
    variables: Sequence[tuple[str, str]] = (),
    inputs: "hera.Inputs | None" = None,
    outputs: "hera.Outputs | None" = None,
    with_workspace: bool = False,
) -> "hera.Template":
    """A pod with the image, resources, secrets and tolerations of a step."""
    from hera.workflows import models as hera

    requests = {"cpu": hera.Quantity(root=str(step.cpu)), "memory": hera.Quantity(root=f"{step.memory}G")}
    limits = {"memory": requests["memory"]} | ({GPU_VENDOR: hera.Quantity(root=str(step.gpu))} if step.gpu else {})
    mounts = [hera.VolumeMount(name="work", mount_path=FOLDER)]
    volumes = [hera.Volume(name="work", empty_dir=hera.EmptyDirVolumeSource())]
    if with_workspace:
        mounts.append(hera.VolumeMount(name="workspace", mount_path=WORKSPACE))
        claim = hera.PersistentVolumeClaimVolumeSource(claim_name=CLAIM)
        volumes.append(hera.Volume(name="workspace", persistent_volume_claim=claim))
        variables = [*variables, ("TOPGRAFT_HOME", WORKSPACE)]
    return hera.Template(
        name=name,
        inputs=inputs,
        outputs=outputs,
        active_deadline_seconds=hera.IntOrString(root=_SECONDS_OF_GPU_STEP if step.gpu else _SECONDS_OF_STEP),
        retry_strategy=hera.RetryStrategy(
            limit=hera.IntOrString(root=_RETRIES),
            retry_policy="Always",
            expression=_RETRIED,
            backoff=hera.Backoff(duration="1m", factor=hera.IntOrString(root=2)),
        ),
        tolerations=[
            hera.Toleration(key=one.key, operator=one.operator, value=one.value or None, effect=one.effect or None)
            for one in step.tolerations
        ]
        or None,
        volumes=volumes,
        container=hera.Container(
            image=step.image,
            command=list(command),
            args=list(arguments) or None,
            working_dir=FOLDER,
            env=_environment(step, variables) or None,
            resources=hera.ResourceRequirements(requests=requests, limits=limits),
            volume_mounts=mounts,
        ),
    )


def _environment(step: Step, variables: Sequence[tuple[str, str]]) -> "list[hera.EnvVar]":
    """Variables, and the secrets of a step."""
    from hera.workflows import models as hera

    secrets = [
        hera.EnvVar(
            name=secret.variable,
            value_from=hera.EnvVarSource(secret_key_ref=hera.SecretKeySelector(name=secret.name, key=secret.key)),
        )
        for secret in step.secrets
    ]
    return [*(hera.EnvVar(name=variable, value=value) for variable, value in variables), *secrets]


def _without_gpu(step: Step, pipeline: Pipeline) -> Step:
    """Image and resources for a pod of the pipeline that needs neither GPU nor secrets."""
    largest = max((one for one in pipeline.steps if not one.gpu), key=lambda one: one.memory, default=step)
    return dataclasses.replace(step, gpu=0, tolerations=(), secrets=(), cpu=largest.cpu, memory=largest.memory)


def _path(name: str) -> str:
    return f"{FOLDER}/{name.removesuffix('/')}"


def _key(part: str) -> str:
    return f"{workflow_parameter(PREFIX)}/{{{{workflow.name}}}}/{part}"


def _candidate_key(promotion: Promotion) -> str:
    return f"{_key(CANDIDATES)}/{_input_parameter(promotion.parameter)}{_suffix(promotion.model)}"


def _suffix(name: str) -> str:
    return "".join(PurePosixPath(name).suffixes)
