# %% [markdown]
# # Labelled photos as a dataset
#
# Cuts the labelled objects out of the photos, and divides the photos among training, validation and test.

# %% tags=["parameters"]
import os

labels = os.environ.get("labels", "data/traffic-signs/annotations.json").strip()
images = os.environ.get("images", "data/traffic-signs/images").strip()
seed = int(os.environ.get("seed", "0"))

# %%
import topgraft

imported = topgraft.import_labels(labels, "signs", images=images, test_fraction=0.2, seed=seed)
print(*imported.warnings, sep="\n")
imported.images

# %% [markdown]
# ## Check the labels
#
# Some images of each class. `signs/boxes/` shows them in their photos; `signs/origin.csv` lists their photos and boxes.

# %%
import shutil

from IPython.display import Image

shutil.copyfile("signs/contact-sheet.jpg", "contact-sheet.jpg")
Image("contact-sheet.jpg")

# %% [markdown]
# ## Output
#
# The dataset as one file, for the next steps.

# %%
topgraft.pack("signs", "signs.tar")
