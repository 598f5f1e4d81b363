# %% [markdown]
# # Classify photos
#
# Loads a trained model, classifies the photos of a folder, and evaluates the model on them. The folder
# `data/new-photos` of the workspace has photos that the model was not trained on, one folder for each class.

# %% tags=["parameters"]
workspace = "."
new_photos = "new-photos"
model_name = "latest"

# %%
import topgraft

model = topgraft.load(model_name, workspace=workspace)

# %% [markdown]
# ## Predictions
#
# Each prediction has its most probable classes, and is marked if the photo is unlike the training photos (`unknown`) or
# if the model cannot decide (`uncertain`).

# %%
from model.workspace import find_workspace

predictions = topgraft.predict(model, find_workspace(workspace).find_dataset(new_photos), top_k=3)
for prediction in predictions:
    print(prediction.image, prediction.labels[0], f"{prediction.probabilities[0]:.0%}", prediction.unknown)

# %% [markdown]
# ## Evaluation
#
# Accuracy with its 95 % interval, and all other metrics.

# %%
evaluation = topgraft.evaluate(model_name, new_photos, workspace=workspace)
print(evaluation.metrics["accuracy"], evaluation.metrics["accuracy_interval"])

# %%
from model.tracking.epoch_figures import draw_confusion_matrix

measured = evaluation.evaluation
draw_confusion_matrix(measured.probabilities.argmax(axis=1), measured.labels, measured.classes)
