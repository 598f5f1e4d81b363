# %% [markdown]
# # Explain predictions
#
# Shows which regions of a photo a prediction rests on, and compares two methods on the most confident errors.

# %% tags=["parameters"]
workspace = "."
new_photos = "new-photos"
model_name = "latest"

# %%
import topgraft

model = topgraft.load(model_name, workspace=workspace)
evaluation = topgraft.evaluate(model_name, new_photos, workspace=workspace).evaluation

# %% [markdown]
# ## One photo
#
# The class activation map is exact for this kind of network: the mean of the map, plus a constant, is the logit of the
# class. Bright regions contributed most.

# %%
from IPython.display import Image

from model.serving.prediction_figure import draw_prediction

photo = evaluation.samples[0].path
Image(draw_prediction(model, photo.read_bytes(), model.predict(photo)))

# %% [markdown]
# ## A second opinion
#
# An occlusion map shows how much the prediction changes when each region is covered. It uses the predictions only, not
# the weights of the network.

# %%
from PIL import Image as Picture

from model.serving.occlusion import maps_agree, occlusion_map
from model.serving.prediction_figure import overlay_activation

pixels = model.decode(photo)
label = model.class_index(model.predict(photo).labels[0])
effects = occlusion_map(model, pixels, label)
Picture.fromarray(overlay_activation(pixels, effects))

# %%
maps_agree(model.activation_maps(pixels)[..., label], effects)

# %% [markdown]
# ## Most confident errors
#
# Check the labels first: they may be wrong rather than the model.

# %%
from model.evaluation.confident_errors import find_confident_errors
from model.tracking.report_figures import draw_explained_errors

draw_explained_errors(find_confident_errors({"test": evaluation}, model))
