"""The steps of a pipeline: notebooks with inputs, outputs, parameters and resources, read from pipeline.yaml.

    name: traffic-signs
    image: docker.io/ai4oshub/topgraft:latest
    parameters:
      epochs: {type: Integer, default: 10, description: Maximum epochs for the head.}
    steps:
      - name: transfer-learning
        notebook: transfer-learning.ipynb
        inputs: [signs.tar]
        outputs: [model.tar.xz]
        parameters: [epochs]
        memory: 8
        gpu: 1

A step depends on the steps that make its inputs, and on those named in `after`. docs/pipelines.md lists all keys.
"""

import dataclasses
from pathlib import Path

ParameterValue = str | int | float | bool

STRING, INTEGER, FLOAT, BOOL = "String", "Integer", "Float", "Bool"
PARAMETER_TYPES: dict[str, type] = {STRING: str, INTEGER: int, FLOAT: float, BOOL: bool}
"""Types of parameters by their names in Kubeflow Pipelines and Elyra."""

GPU_VENDOR = "nvidia.com/gpu"
"""Resource of GPUs in Kubernetes."""

OPERATORS = ("Exists", "Equal")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A parameter of a pipeline, passed to the notebooks that list it.

    Attributes:
        name: a Python name; also the environment variable that sets it.
        type: String, Integer, Float or Bool.
        default: None if a value must be given.
    """

    name: str
    type: str
    default: ParameterValue | None = None
    description: str = ""

    @property
    def is_required(self) -> bool:
        """Whether a value must be given."""
        return self.default is None


@dataclasses.dataclass(frozen=True)
class Toleration:
    """A toleration of Kubernetes, such as nvidia.com/gpu Exists NoSchedule.

    Attributes:
        key: key of the taint.
        operator: Exists, or Equal to `value`.
        effect: NoSchedule, PreferNoSchedule or NoExecute; empty for all.
    """

    key: str
    operator: str = "Exists"
    effect: str = ""
    value: str = ""


@dataclasses.dataclass(frozen=True)
class Secret:
    """A key of a Kubernetes secret as an environment variable; on this machine, the variable itself.

    Attributes:
        variable: name of the environment variable.
        name: name of the secret.
        key: key in the secret.
    """

    variable: str
    name: str
    key: str


@dataclasses.dataclass(frozen=True)
class Step:
    """A step of a pipeline: a notebook that reads inputs and writes outputs in its working folder.

    Attributes:
        name: lowercase letters, digits and '-'.
        notebook: path relative to the file of the pipeline.
        inputs: files and folders that earlier steps write, relative to the working folder.
        outputs: files and folders that this step writes. A folder ends with `/`.
        parameters: names of its parameters.
        reads: those of its parameters that name a file or folder, or `remote:path`, that the step reads.
        after: steps that it depends on besides those that make its inputs.
        image: container image.
        cpu: number of processors.
        memory: in gigabytes.
        gpu: number of GPUs.
        environment: names and values of environment variables, those of the whole pipeline included, as the secrets.
    """

    name: str
    notebook: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: tuple[str, ...]
    reads: tuple[str, ...]
    after: tuple[str, ...]
    image: str
    cpu: int
    memory: int
    gpu: int
    tolerations: tuple[Toleration, ...]
    environment: tuple[tuple[str, str], ...]
    secrets: tuple[Secret, ...]


@dataclasses.dataclass(frozen=True)
class Promotion:
    """A search for the best model in Argo Workflows: a step runs once for each value of one of its parameters.

    Attributes:
        step: name of the step that trains a model.
        parameter: name of the parameter that differs, such as backbone.
        values: its values.
        model: output of the step with the model.
        dataset: input of the step; the models are compared on its test photos.
    """

    step: str
    parameter: str
    values: tuple[str, ...]
    model: str
    dataset: str

    @property
    def values_name(self) -> str:
        """Name of the parameter that has all values, such as backbones."""
        return f"{self.parameter}s"


@dataclasses.dataclass(frozen=True)
class Retraining:
    """A schedule of the search for the best model, which is skipped while the labels are the same.

    Attributes:
        labels, images: names of the parameters with the labels and their photos; `images` may be empty.
        schedule: five fields of cron, such as `0 3 * * *`.
        time_zone: such as Europe/Berlin.
    """

    labels: str
    images: str
    schedule: str
    time_zone: str


@dataclasses.dataclass(frozen=True)
class Delivery:
    """Copies of outputs and executed notebooks in a folder, such as `s3:bucket/user/run`.

    Attributes:
        parameter: name of the parameter with the folder; its value is empty if nothing is sent.
        outputs: files, which are sent under the last parts of their paths.
    """

    parameter: str
    outputs: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """Steps in an order in which they can run, and their parameters.

    Attributes:
        name: lowercase letters, digits and '-'.
        file: path of pipeline.yaml.
        promotion, retraining: for Argo Workflows.
        delivery: which outputs are sent, and where.
    """

    name: str
    description: str
    file: Path
    parameters: tuple[Parameter, ...]
    steps: tuple[Step, ...]
    promotion: Promotion | None = None
    retraining: Retraining | None = None
    delivery: Delivery | None = None

    def notebook(self, step: Step) -> Path:
        """Path of the notebook of a step."""
        return self.file.parent / step.notebook

    def step(self, name: str) -> Step:
        """The step of a name that the pipeline has."""
        return next(one for one in self.steps if one.name == name)

    def parameter(self, name: str) -> Parameter:
        """The parameter of a name that a step lists."""
        return next(one for one in self.parameters if one.name == name)

    def dependencies(self, step: Step) -> tuple[Step, ...]:
        """Steps that must be complete before a step, in the order of the pipeline: direct dependencies only."""
        return tuple(
            one for one in self.steps if one.name in step.after or not set(one.outputs).isdisjoint(step.inputs)
        )

    def links(self, step: Step) -> tuple[Step, ...]:
        """Dependencies of a step that no other of its dependencies has: the edges of the graph to draw."""
        direct = self.dependencies(step)
        implied = {one.name for other in direct for one in self.all_dependencies(other)}
        return tuple(one for one in direct if one.name not in implied)

    def all_dependencies(self, step: Step) -> set[Step]:
        """Steps that must be complete before a step, also indirectly."""
        direct = self.dependencies(step)
        return set(direct).union(*map(self.all_dependencies, direct))

    def producer(self, name: str) -> Step:
        """The step that makes an input of a step."""
        return next(one for one in self.steps if name in one.outputs)
