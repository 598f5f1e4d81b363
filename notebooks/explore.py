# %% [markdown]
# # Explore a dataset
#
# Checks a dataset as a training does, and shows its photos. Nothing is trained, and nothing is written. The folder
# `data/photos` of the workspace has one folder of photos for each class.

# %% tags=["parameters"]
workspace = "."
dataset = "photos"

# %%
import topgraft

# %% [markdown]
# ## What a training would use
#
# All photos are decoded. Damaged photos, duplicates and photos that splits have in common are listed.

# %%
verdict = topgraft.check(dataset, workspace=workspace)
print(verdict)

# %%
verdict.counts

# %% [markdown]
# ## Photos with augmentation
#
# One row for each of up to eight photos: the photo, then the views that a training with these options uses.

# %%
from model.augmentation import parse_augmentation
from model.features.contact_sheet import draw_contact_sheet
from model.results import InputSpec

# %%
config = topgraft.TrainConfig(augmentation="flip_lr|rotate(15)|crop(0.8)")
spec = InputSpec.from_config(config, verdict.intensity)
operations = parse_augmentation(config.augmentation, len(verdict.dataset.train) / len(verdict.dataset.classes))
draw_contact_sheet(verdict.training_data, operations, spec, config.seed)
