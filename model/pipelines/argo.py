"""Pipelines as documents of Argo Workflows: a template of the steps, a search for the best model, a retraining.

Artifacts name their key only: bucket, endpoint and credentials are those of the artifact repository of the namespace.
"""

import importlib.util
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from model.errors import ConfigError
from model.pipelines import argo_pods
from model.pipelines.argo_checks import MAIN, RETRAIN, argo_problems
from model.pipelines.argo_pods import PREFIX, workflow_parameter
from model.pipelines.problems import raise_problems
from model.pipelines.steps import Pipeline, Promotion, Retraining, Step
from model.pipelines.unchanged import INSTALL

if TYPE_CHECKING:
    from hera.workflows import models as hera

_API_VERSION = "argoproj.io/v1alpha1"
_DAY = 24 * 3600
_SECONDS_OF_WORKFLOW = _DAY
_SECONDS_KEPT = 7 * _DAY
_SECONDS_LATE = 3600


def argo_text(pipeline: Pipeline) -> str:
    """YAML documents: a WorkflowTemplate, and one more and a CronWorkflow if the pipeline has the keys for them.

    Raises:
        ConfigError: Argo would refuse the documents, or run them otherwise; or the package hera is missing.
    """
    import yaml

    header = f"# Made of {pipeline.file.name} by: topgraft pipeline export {pipeline.name} --to argo\n"
    documents = [
        # Aliases are hard to read, and scripts are written with one line for each of theirs.
        yaml.dump(document, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=120)
        for document in argo_documents(pipeline)
    ]
    return header + "---\n".join(documents)


def argo_documents(pipeline: Pipeline) -> list[dict[str, Any]]:
    """The documents as JSON types.

    Raises:
        ConfigError: Argo would refuse the documents, or run them otherwise; or the package hera is missing.
    """
    _require_hera()
    raise_problems(list(argo_problems(pipeline)))
    documents: list[hera.WorkflowTemplate | hera.CronWorkflow] = [_steps_document(pipeline)]
    if pipeline.promotion is not None:
        documents.append(_search_document(pipeline, pipeline.promotion))
        if pipeline.retraining is not None:
            documents.append(_retraining_document(pipeline, pipeline.promotion, pipeline.retraining))
    return [document.model_dump(by_alias=True, exclude_none=True, mode="json") for document in documents]


def _require_hera() -> None:
    if importlib.util.find_spec("hera") is None:
        raise ConfigError(f"exporting for Argo Workflows requires hera. Install it: {INSTALL}")


def _steps_document(pipeline: Pipeline) -> "hera.WorkflowTemplate":
    """The steps as they are in pipeline.yaml."""
    tasks = [_task(pipeline, step, pipeline.steps) for step in pipeline.steps]
    templates = [argo_pods.step_template(pipeline, step) for step in pipeline.steps]
    return _workflow_template(pipeline, pipeline.name, pipeline.description, [_dag(MAIN, tasks), *templates])


def _search_document(pipeline: Pipeline, promotion: Promotion) -> "hera.WorkflowTemplate":
    """A model for each value of a parameter, such as the backbone; the best is promoted if it beats the latest."""
    from hera.workflows import models as hera

    trained = pipeline.step(promotion.step)
    before = pipeline.all_dependencies(trained)
    steps = [step for step in pipeline.steps if step in before]
    dags = [_dag(MAIN, _search_tasks(pipeline, promotion, steps, trained))]
    if pipeline.retraining is not None:
        maker = pipeline.producer(promotion.dataset)
        tasks = _search_tasks(pipeline, promotion, [step for step in steps if step is not maker], trained)
        given = hera.Artifact(name=argo_pods.artifact_name(promotion.dataset))
        dags.append(_dag(RETRAIN, tasks, hera.Inputs(artifacts=[given])))
    templates = [
        *dags,
        *(argo_pods.step_template(pipeline, step) for step in steps),
        argo_pods.step_template(pipeline, trained, promotion),
        argo_pods.promote_template(pipeline, promotion, trained),
    ]
    description = f"Trains a model for each {promotion.parameter}, and promotes the best if it beats the latest one."
    return _workflow_template(pipeline, _search_name(pipeline), description, templates)


def _search_tasks(
    pipeline: Pipeline, promotion: Promotion, steps: Sequence[Step], trained: Step
) -> "list[hera.DAGTask]":
    """Steps before the training, the training with each value, and the promotion.

    Args:
        steps: without the one that makes the dataset if that is an input of the template.
    """
    from hera.workflows import models as hera

    made = [*steps, trained]
    changed = {promotion.parameter: "{{item}}"}
    if pipeline.delivery is not None:
        # The models of a search would replace each other in its folder; they are artifacts.
        changed[pipeline.delivery.parameter] = ""
    search = _task(pipeline, trained, made, changed)
    search.with_param = workflow_parameter(promotion.values_name)
    promote = hera.DAGTask(
        name=argo_pods.PROMOTE,
        template=argo_pods.PROMOTE,
        depends=_all_of([one for one in (trained, pipeline.producer(promotion.dataset)) if one in made]),
        arguments=hera.Arguments(artifacts=[_passed(pipeline, promotion.dataset, made)]),
    )
    return [*(_task(pipeline, step, made) for step in steps), search, promote]


def _retraining_document(pipeline: Pipeline, promotion: Promotion, retraining: Retraining) -> "hera.CronWorkflow":
    """The search on a schedule with the dataset of the current labels, if it changed since its last success."""
    from hera.workflows import models as hera

    check, finish = argo_pods.CHECK_LABELS, argo_pods.FINISH
    dataset = argo_pods.artifact_name(promotion.dataset)
    checked = f"tasks.{check}.outputs"
    passed = hera.Artifact(name=dataset, from_=f"{{{{{checked}.artifacts.{dataset}}}}}")
    checksum = hera.Parameter(name=argo_pods.CHECKSUM, value=f"{{{{{checked}.parameters.{argo_pods.CHECKSUM}}}}}")
    tasks = [
        hera.DAGTask(
            name=check,
            template=check,
            arguments=_parameters(pipeline.producer(promotion.dataset).parameters, {}),
        ),
        hera.DAGTask(
            name=RETRAIN,
            template_ref=hera.TemplateRef(name=_search_name(pipeline), template=RETRAIN),
            depends=check,
            when=f"{{{{{checked}.parameters.{argo_pods.CHANGED}}}}} == true",
            arguments=hera.Arguments(artifacts=[passed]),
        ),
        hera.DAGTask(
            name=finish,
            template=finish,
            depends=f"{check} && {RETRAIN}.Succeeded",
            arguments=hera.Arguments(parameters=[checksum]),
        ),
    ]
    templates = [
        _dag(MAIN, tasks),
        argo_pods.check_template(pipeline, promotion),
        argo_pods.finish_template(pipeline),
    ]
    return hera.CronWorkflow(
        api_version=_API_VERSION,
        kind="CronWorkflow",
        metadata=_metadata(f"{pipeline.name}-retraining", "Retrains when the labels changed."),
        spec=hera.CronWorkflowSpec(
            schedules=[retraining.schedule],
            timezone=retraining.time_zone,
            concurrency_policy="Forbid",
            starting_deadline_seconds=_SECONDS_LATE,
            successful_jobs_history_limit=3,
            failed_jobs_history_limit=3,
            workflow_spec=_specification(pipeline, templates),
        ),
    )


def _search_name(pipeline: Pipeline) -> str:
    return f"{pipeline.name}-search"


def _workflow_template(
    pipeline: Pipeline, name: str, description: str, templates: "Sequence[hera.Template]"
) -> "hera.WorkflowTemplate":
    from hera.workflows import models as hera

    return hera.WorkflowTemplate(
        api_version=_API_VERSION,
        kind="WorkflowTemplate",
        metadata=_metadata(name, description),
        spec=_specification(pipeline, templates),
    )


def _metadata(name: str, description: str) -> "hera.ObjectMeta":
    from hera.workflows import models as hera

    annotations = {"workflows.argoproj.io/description": description} if description else None
    return hera.ObjectMeta(name=name, labels={"app.kubernetes.io/part-of": "topgraft"}, annotations=annotations)


def _specification(pipeline: Pipeline, templates: "Sequence[hera.Template]") -> "hera.WorkflowSpec":
    """The same parameters for all documents: a template that another workflow calls reads those of the caller."""
    from hera.workflows import models as hera

    parameters = [
        hera.Parameter(
            name=one.name,
            description=one.description or None,
            value=None if one.default is None else argo_pods.parameter_text(one.default),
        )
        for one in pipeline.parameters
    ]
    if pipeline.promotion is not None:
        promotion = pipeline.promotion
        text = f"JSON list: a model is trained for each {promotion.parameter}."
        parameters.append(
            hera.Parameter(name=promotion.values_name, description=text, value=json.dumps(list(promotion.values)))
        )
    parameters.append(hera.Parameter(name=PREFIX, description="First part of the keys in S3.", value=pipeline.name))
    return hera.WorkflowSpec(
        entrypoint=MAIN,
        arguments=hera.Arguments(parameters=parameters),
        active_deadline_seconds=_SECONDS_OF_WORKFLOW,
        ttl_strategy=hera.TTLStrategy(seconds_after_completion=_SECONDS_KEPT),
        templates=list(templates),
    )


def _dag(name: str, tasks: "Sequence[hera.DAGTask]", inputs: "hera.Inputs | None" = None) -> "hera.Template":
    from hera.workflows import models as hera

    return hera.Template(name=name, inputs=inputs, dag=hera.DAGTemplate(tasks=list(tasks)))


def _task(
    pipeline: Pipeline, step: Step, made: Sequence[Step], changed: Mapping[str, str] | None = None
) -> "hera.DAGTask":
    """The task of a step.

    Args:
        made: steps with a task in the same DAG.
        changed: values of parameters that are not those of the workflow.
    """
    from hera.workflows import models as hera

    arguments = _parameters(step.parameters, changed or {})
    arguments.artifacts = [_passed(pipeline, name, made) for name in step.inputs] or None
    return hera.DAGTask(
        name=step.name,
        template=step.name,
        depends=_all_of([one for one in pipeline.dependencies(step) if one in made]),
        arguments=arguments,
    )


def _all_of(steps: Sequence[Step]) -> str | None:
    """Condition that steps succeeded; Argo refuses `depends` and `dependencies` in the same DAG."""
    return " && ".join(dict.fromkeys(step.name for step in steps)) or None


def _parameters(names: Sequence[str], changed: Mapping[str, str]) -> "hera.Arguments":
    from hera.workflows import models as hera

    values = {name: changed.get(name, workflow_parameter(name)) for name in names}
    passed = [hera.Parameter(name=name, value=value) for name, value in values.items()]
    return hera.Arguments(parameters=passed or None)


def _passed(pipeline: Pipeline, output: str, made: Sequence[Step]) -> "hera.Artifact":
    """An output of a task in the same DAG, else an input of the DAG."""
    from hera.workflows import models as hera

    name, maker = argo_pods.artifact_name(output), pipeline.producer(output)
    source = f"tasks.{maker.name}.outputs" if maker in made else "inputs"
    return hera.Artifact(name=name, from_=f"{{{{{source}.artifacts.{name}}}}}")


def _dumper() -> type:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes texts of several lines as blocks."""

        def ignore_aliases(self, data: object) -> bool:
            return True

    def represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)

    Dumper.add_representer(str, represent)
    return Dumper
