// Opens a session: by the token in the address, or by the password.

import { element, replace } from "./elements.js";
import { send } from "./request.js";
import { text } from "./texts.js";

const TOKEN = /^#token=([\w-]+)$/;
let problem = "";

/** Uses the token in the address, which is then removed from it; returns whether there is a session. */
export async function openSession() {
  const token = TOKEN.exec(location.hash)?.[1];
  if (token) {
    history.replaceState(null, "", location.pathname);
    try {
      await send("/api/session", { method: "POST", body: { token } });
    } catch (error) {
      problem = error.status === 401 ? "app.link_used" : "app.offline";
    }
  }
  return (await send("/api/session")).open;
}

/** Shows how to open the studio. */
export async function signIn(main) {
  const { password } = await send("/api/session");
  const notice = element("p.notice", { role: "alert", hidden: !problem }, problem && text(problem));
  const form = element(
    "form.sign-in",
    { onsubmit: (event) => submit(event, notice) },
    element("label.field.grow", {}, text("app.password"), element("input", { type: "password", name: "password", autocomplete: "current-password", required: true })),
    element("button.main", {}, text("app.open")),
  );
  replace(
    main,
    element("h1", {}, text("app.sign_in")),
    element("p.lead", {}, text(password ? "app.sign_in_password" : "app.sign_in_link")),
    notice,
    password && form,
  );
  if (password) form.elements.password.focus();
}

async function submit(event, notice) {
  event.preventDefault();
  const { password } = event.target.elements;
  try {
    await send("/api/session", { method: "POST", body: { password: password.value } });
    location.reload();
  } catch (error) {
    notice.textContent = text(error.status === 401 ? "app.wrong_password" : error.status === 429 ? "app.too_many" : "app.offline");
    notice.hidden = false;
    password.select();
  }
}
