# %% [markdown]
# # Transfer learning
#
# Trains a base model on the real photos, and a new model on the real and the synthetic ones. Both learn a
# classification head on the same pretrained network.

# %% tags=["parameters"]
import os

base = os.environ.get("base", "").strip()
backbone = os.environ.get("backbone", "EfficientNetLite0").strip()
epochs = int(os.environ.get("epochs", "10"))
seed = int(os.environ.get("seed", "0"))
destination = os.environ.get("destination", "").strip()

# %%
import shutil
import tempfile

import topgraft

# For models of this step only: its outputs are the archives below.
scratch = tempfile.TemporaryDirectory(prefix="workspace-", dir=".")
workspace = scratch.name

# %% [markdown]
# ## Base model
#
# An existing model, if there is one, else one trained on the real photos.

# %%
if base:
    topgraft.import_model(base, name="base", workspace=workspace)
else:
    topgraft.train("signs.tar", name="base", backbone=backbone, epochs=epochs, seed=seed, workspace=workspace)

# %% [markdown]
# ## New model

# %%
result = topgraft.train("training.tar", name="new", backbone=backbone, epochs=epochs, seed=seed, workspace=workspace)
result.metrics

# %% [markdown]
# ## Outputs

# %%
topgraft.export_model("base", "base.tar.xz", workspace=workspace)
topgraft.export_model("new", "model.tar.xz", workspace=workspace)
shutil.copyfile(result.path / "results.csv", "results.csv")
shutil.copyfile(result.path / "report.html", "report.html")
scratch.cleanup()

# %%
topgraft.send_files(["model.tar.xz", "results.csv", "report.html"], destination)
