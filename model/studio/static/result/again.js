// Training again with the options of a model.

import { button } from "../elements.js";
import { messageOf } from "../messages.js";
import { problem } from "../models.js";

/** A button that trains again on the same dataset, and goes to the view of trainings. */
export function trainAgain(model, context, isMain) {
  const { text, request, navigate } = context;
  const start = async ({ target }) => {
    target.disabled = true;
    try {
      await request.post("/api/trainings", { ...model.options, dataset: model.dataset.name || model.dataset.path });
      navigate("training", model.dataset.name);
    } catch (error) {
      target.disabled = false;
      target.after(problem(messageOf(error)));
    }
  };
  return button(text("result.train_again"), start, { class: isMain ? "main" : "", disabled: !model.dataset.exists });
}
