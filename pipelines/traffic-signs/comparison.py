# %% [markdown]
# # Comparison of the base model with the new model
#
# Compares both models on the same real test photos.

# %% tags=["parameters"]
import os

destination = os.environ.get("destination", "").strip()

# %%
import os
import tempfile

import topgraft

# For copies of the models that this step reads.
scratch = tempfile.TemporaryDirectory(prefix="workspace-", dir=".")
workspace = scratch.name
topgraft.import_model("base.tar.xz", name="base", workspace=workspace)
topgraft.import_model("model.tar.xz", name="new", workspace=workspace)

# %%
os.makedirs("comparison", exist_ok=True)
result = topgraft.compare("base", "new", "signs.tar", output="comparison", workspace=workspace)
print(*result.sentences, sep="\n")

# %%
from IPython.display import HTML

HTML(filename="comparison/comparison.html")

# %%
scratch.cleanup()
topgraft.send_files(["comparison/comparison.html"], destination)
