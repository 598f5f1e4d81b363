# %% [markdown]
# # Synthetic photos
#
# Composes photos of the cut-outs on procedural backgrounds, against scarcity of real photos. They are used for training
# only, never for validation and test.

# %% tags=["parameters"]
import os

cutouts = os.environ.get("cutouts", "data/traffic-signs/cutouts")
count = int(os.environ.get("count", "100"))
seed = int(os.environ.get("seed", "0"))

# %%
import topgraft

topgraft.synthesize(cutouts, "procedural", "synthetic", count=count, seed=seed)

# %% [markdown]
# ## Output
#
# The synthetic photos as one file, for the next steps.

# %%
topgraft.pack("synthetic", "synthetic.tar")
