"""What Argo Workflows would refuse in a pipeline, or run otherwise than this machine does."""

from collections.abc import Iterator

from model.pipelines.argo_pods import (
    CANDIDATES,
    CHECK_LABELS,
    FINISH,
    PREFIX,
    PROMOTE,
    artifact_name,
)
from model.pipelines.steps import Pipeline, Promotion, Retraining, Step
from model.received import quoted

MAIN, RETRAIN = "main", "retrain"

# Of Kubernetes; the number of a run is appended to the name of a CronWorkflow.
_MAX_NAME, _MAX_CRON_NAME = 63, 52


def argo_problems(pipeline: Pipeline) -> Iterator[str]:
    """All problems as sentences; each names the file."""
    place = f"{pipeline.file}: "
    for problem in _problems(pipeline):
        yield place + problem


def _problems(pipeline: Pipeline) -> Iterator[str]:
    promotion, retraining = pipeline.promotion, pipeline.retraining
    own = {PREFIX} | ({promotion.values_name} if promotion is not None else set())
    for parameter in pipeline.parameters:
        if parameter.name in own:
            yield f"the documents have a parameter {quoted(parameter.name)} of their own. Rename that of the pipeline."
    # Names of templates, and of folders in S3.
    reserved = {MAIN} | ({PROMOTE, CANDIDATES} if promotion is not None else set())
    if retraining is not None:
        reserved |= {RETRAIN, CHECK_LABELS, FINISH}
    for step in pipeline.steps:
        if step.name in reserved:
            yield f"step {step.name}: the documents have a template of this name of their own. Rename the step."
        yield from _same_artifacts(step)
    name = pipeline.name
    if promotion is not None:
        yield from _too_long(f"{name}-search", _MAX_NAME)
        if artifact_name(promotion.dataset) == CANDIDATES:
            yield f"promotion: the dataset has the name {quoted(CANDIDATES)} of the folder of the models. Rename it."
    if promotion is not None and retraining is not None:
        yield from _too_long(f"{name}-retraining", _MAX_CRON_NAME)
        yield from _retraining(pipeline, promotion, retraining)


def _same_artifacts(step: Step) -> Iterator[str]:
    for kind, names in (("inputs", step.inputs), ("outputs", step.outputs)):
        found: dict[str, str] = {}
        for name in dict.fromkeys(names):
            other = found.setdefault(artifact_name(name), name)
            if other != name:
                yield (
                    f"step {step.name}: the {kind} {quoted(other)} and {quoted(name)} have the same name in Argo, "
                    f"{artifact_name(name)}. Rename one of them."
                )


def _too_long(name: str, maximum: int) -> Iterator[str]:
    if len(name) > maximum:
        yield f"expected a shorter name of the pipeline: {quoted(name)} may have at most {maximum} characters."


def _retraining(pipeline: Pipeline, promotion: Promotion, retraining: Retraining) -> Iterator[str]:
    """Problems of the step that makes the dataset, which a retraining runs first, in a folder that is kept."""
    maker = pipeline.producer(promotion.dataset)
    if maker.inputs or maker.after:
        yield f"retraining: expected no step before the step {maker.name}, which makes {quoted(promotion.dataset)}."
    for name in (retraining.labels, retraining.images):
        if name and name not in maker.parameters:
            yield f"retraining: expected a parameter of the step {maker.name}, received {quoted(name)}."
    trained = pipeline.step(promotion.step)
    for step in (trained, *pipeline.all_dependencies(trained)):
        for name in step.inputs:
            if name in maker.outputs and name != promotion.dataset:
                yield f"retraining: the step {step.name} reads {quoted(name)}; only {promotion.dataset} is passed on."
