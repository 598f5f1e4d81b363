// More options: a form made from the options of a training, in groups, with their help texts.

import { element } from "../elements.js";

/**
 * The form of all options.
 * @param {object[]} groups - as /api/training-options sends them: name, fields.
 * @returns element; `setChoice(options)`, to show the options of a choice where nothing else was entered; `values()`,
 *   the options that differ from those of the choice; `firstInvalid()`, the first input with a wrong value.
 */
export function optionsForm(context, groups) {
  const fields = [];
  const sections = groups.map(({ name, fields: described }) =>
    element(
      "fieldset.option-group",
      {},
      element("legend", {}, context.text(`training.group_${name}`)),
      described.map((option) => {
        const input = inputFor(context, option);
        fields.push({ option, input, initial: shown(option.default) });
        return row(context, option, input);
      }),
    ),
  );
  return {
    element: element("div.options", {}, sections),
    setChoice: (options) => fields.forEach((field) => setInitial(field, options)),
    values: () => Object.fromEntries(fields.filter(isChanged).map(({ option, input }) => [option.name, valueOf(option, input)])),
    firstInvalid: () => fields.find(({ input }) => !input.checkValidity())?.input,
  };
}

function row({ text }, option, input) {
  const help = `help-${option.name}`;
  input.setAttribute("aria-describedby", help);
  // Translated where there is a translation, otherwise the help text of the option itself.
  const translated = text(`option.${option.name}`);
  const isTranslated = translated !== `option.${option.name}`;
  return element(
    "label.field",
    {},
    element("code", {}, option.name),
    input,
    element("span.soft", { id: help, lang: isTranslated ? null : "en" }, isTranslated ? translated : option.help),
  );
}

function inputFor({ text }, { name, type, default: initial, optional, minimum, maximum, choices, max_length: length }) {
  const id = `option-${name}`;
  if (type === "bool") {
    const label = (value) => text(value ? "training.yes" : "training.no");
    return element("select", { id }, [true, false].map((value) => element("option", { value, selected: value === initial }, label(value))));
  }
  if (choices) {
    return element("select", { id }, choices.map((choice) => element("option", { value: choice, selected: choice === initial }, choice)));
  }
  if (type === "str") return element("input", { id, type: "text", maxlength: length, value: initial, autocomplete: "off", spellcheck: "false" });
  return element("input", {
    id,
    type: "number",
    min: minimum,
    max: maximum,
    step: type === "int" ? 1 : "any",
    value: initial ?? "",
    placeholder: optional ? text("training.automatic") : null,
    required: !optional,
  });
}

function setInitial(field, options) {
  const initial = shown(options[field.option.name] ?? field.option.default);
  if (!isChanged(field)) field.input.value = initial;
  field.initial = initial;
}

function isChanged({ input, initial }) {
  return input.value !== initial;
}

function shown(value) {
  return String(value ?? "");
}

function valueOf({ type }, input) {
  if (input.value === "") return null;
  if (type === "bool") return input.value === "true";
  return type === "str" ? input.value : Number(input.value);
}
