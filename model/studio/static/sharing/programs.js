// Programs that use the model through the service of this studio, to copy.

import { button, element, replace } from "../elements.js";
import { messageOf } from "../messages.js";
import { loadUntilDone, modelPath, problem } from "../models.js";

const LANGUAGES = { curl: "curl", python: "Python" };

/** Draws the programs; returns what ends the view. */
export function drawPrograms(parent, model, context) {
  const { text, request } = context;
  const programs = element("div.programs");
  const elsewhere = element("p.soft");
  replace(parent, element("h2", {}, text("share.programs")), element("p.soft", {}, text("share.programs_lead")), programs, elsewhere);
  const load = async () => {
    const found = await request.get(modelPath(model, "/snippets"));
    elsewhere.textContent = forwarding(context.state.current?.service?.address, text);
    replace(programs, Object.keys(LANGUAGES).map((name) => program(name, found[name], context)));
  };
  return loadUntilDone(context, load, (error) => replace(programs, problem(messageOf(error))));
}

/** How programs on other computers reach a service that only the studio's computer reaches. */
function forwarding(address, text) {
  if (!address) return "";
  const { hostname, port } = new URL(address);
  return hostname === "127.0.0.1" ? text("share.programs_elsewhere", { command: `ssh -N -L ${port}:127.0.0.1:${port} COMPUTER` }) : "";
}

function program(name, source, { text, announce }) {
  const code = element("pre", { tabindex: "0", role: "group", "aria-label": LANGUAGES[name], dataset: { program: name } }, source);
  const copy = async ({ target }) => {
    try {
      await navigator.clipboard.writeText(source);
      target.textContent = text("share.copied");
      announce(text("share.copied"));
    } catch {
      // Browsers without https, or without permission: the text is selected, to be copied by the keyboard.
      getSelection().selectAllChildren(code);
      announce(text("share.selected"));
    }
  };
  return element("figure", {}, element("figcaption.row", {}, element("strong", {}, LANGUAGES[name]), button(text("share.copy"), copy)), code);
}
