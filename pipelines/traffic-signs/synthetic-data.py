# %% [markdown]
# # Synthetic photos
#
# Composes photos of the cut-outs on drawn backgrounds, against scarcity of real photos, and adds them to the real ones.
# They are used for training only, never for validation or test.

# %% tags=["parameters"]
import os

cutouts = os.environ.get("cutouts", "data/traffic-signs/cutouts").strip()
count = int(os.environ.get("count", "100"))
seed = int(os.environ.get("seed", "0"))

# %%
import topgraft

result = topgraft.synthesize(
    cutouts, "procedural", "training", dataset="signs.tar", count=count, seed=seed, workspace="."
)
print(*result.warnings, sep="\n")
result.real, result.synthetic

# %% [markdown]
# ## Check the photos
#
# Some synthetic photos of each class. `training/origin.csv` lists the cut-out, background and box of each.

# %%
from IPython.display import Image

Image("training/contact-sheet.jpg")

# %% [markdown]
# ## Output
#
# The real and the synthetic photos as one file, for the next step.

# %%
topgraft.pack("training", "training.tar")
