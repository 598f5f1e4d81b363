// A link that opens the studio once, in another browser.

import { button, element } from "./elements.js";
import { messageOf } from "./messages.js";
import { problem } from "./models.js";

/** Shows the button that makes such a link. */
export function offerLink(context) {
  const offers = document.querySelector("#show-link");
  offers.addEventListener("click", () => showLink(context));
  offers.hidden = false;
}

async function showLink(context) {
  const { request, text } = context;
  const content = element("div", {});
  const dialog = element(
    "dialog.link",
    { "aria-labelledby": "link-title" },
    element("h2", { id: "link-title" }, text("app.another_browser")),
    content,
    element("form", { method: "dialog" }, element("button.main", {}, text("app.close"))),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  try {
    const { token } = await request.post("/api/link");
    const address = `${location.origin}/#token=${token}`;
    const link = element("input", { type: "text", readonly: true, value: address, onfocus: () => link.select() });
    const copied = element("span.soft", { role: "status" });
    const copy = button(text("share.copy"), async () => {
      link.select();
      // Browsers have no clipboard on pages without https from other computers.
      const done = await navigator.clipboard?.writeText(address).then(() => true, () => false);
      copied.textContent = text(done ? "share.copied" : "share.selected");
    });
    content.append(element("label.field.grow", {}, text("app.link_for_once"), link), element("div.row", {}, copy, copied));
    link.focus();
  } catch (error) {
    content.append(problem(messageOf(error)));
  }
}
