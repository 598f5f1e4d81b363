# %% [markdown]
# # Train a model
#
# Trains a classification head on a pretrained network, and evaluates it. The model is written to `models/` of the
# workspace, with its report and its TensorBoard log.

# %% tags=["parameters"]
workspace = "."
dataset = "photos"
name = "from-notebook"
options = {}

# %%
import topgraft

# %% [markdown]
# ## Train
#
# Each option of [options](../docs/options.md) is a keyword argument, as in `options = {"epochs": 50}`.

# %%
result = topgraft.train(dataset, name=name, workspace=workspace, **options)
print(result.model, result.path, f"{result.seconds:.0f} s")

# %% [markdown]
# ## Metrics
#
# `cross_validation` or `test` are measured on photos that the model did not learn from.

# %%
result.metrics

# %%
result.warnings

# %% [markdown]
# ## Suspected label errors
#
# Photos whose label may be wrong, the most suspect first; the report shows them.

# %%
print((result.path / "dataset_files" / "label_issues.csv").read_text())

# %% [markdown]
# ## Report
#
# Open the report in a browser. `tensorboard --logdir models` shows the learning curves and the same figures.

# %%
result.path / "report.html"
