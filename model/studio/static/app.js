// The application: texts, session, navigation between the views, and what they share.

import { element, replace, svg } from "./elements.js";
import { Events } from "./events.js";
import { watchKeys } from "./keys.js";
import { offerLink } from "./link.js";
import { request, session } from "./request.js";
import { openSession, signIn } from "./sign_in.js";
import { State } from "./state.js";
import { chooseLanguage, duration, language, LANGUAGES, loadTexts, number, text } from "./texts.js";
import { VIEWS } from "./views.js";

const state = new State();
const events = new Events((found) => state.update(found));
const main = document.querySelector("#main");
const context = { request, events, state, text, number, duration, announce, navigate, address, argument: "" };

let leave = () => {};
let shown = { name: "", argument: "", part: "" };
let visits = 0;

async function start() {
  await loadTexts();
  const skip = document.querySelector("#skip");
  skip.textContent = text("app.skip");
  skip.addEventListener("click", skipNavigation);
  document.querySelector("#views").setAttribute("aria-label", text("app.views"));
  drawTools();
  session.required = askForSession;
  if (!(await openSession())) return askForSession();
  state.subscribe(drawNotices);
  events.on("state", (found) => state.update(found));
  events.on("training", receiveTrainings);
  events.start();
  state.update(await request.get("/api/state"));
  window.addEventListener("hashchange", show);
  watchKeys(context, VIEWS);
  offerLink(context);
  await show();
}

/** A training that is no longer listed has become a model: both changes are shown at once. */
async function receiveTrainings(trainings) {
  const names = trainings.map(({ name }) => name);
  const isGone = state.current?.trainings?.some(({ name }) => !names.includes(name));
  state.update(isGone ? await request.get("/api/state").catch(() => null) : { trainings });
}

/** Shows the view that the address names: #training/photos; #photos/leaves/oak is a class of a dataset. */
async function show() {
  const [name, given, part = ""] = location.hash.slice(1).split("/").map(decoded);
  const view = VIEWS.find((one) => one.name === name) ?? VIEWS[0];
  const argument = given || state.chosen[view.of];
  if (view.name === shown.name && argument === shown.argument && part === shown.part) return;
  shown = { name: view.name, argument, part };
  state.choose({ [view.of]: argument });
  drawNavigation(view.name);
  const visit = ++visits;
  leave();
  leave = () => {};
  main.dataset.view = view.name;
  delete main.dataset.keys;
  replace(main);
  const { view: module } = await view.load();
  if (visit !== visits) return;
  document.title = `${text(`${view.name}.title`)} · Topgraft`;
  leave = module.mount(main, { ...context, argument, part }) ?? (() => {});
  announce(text(`${view.name}.title`));
}

/** Moves the focus at once: after a change of the address, the next key would come first. */
function skipNavigation(event) {
  event.preventDefault();
  main.focus();
}

/** Goes to a view, with the name of a dataset or model. */
function navigate(name, argument = "") {
  location.hash = address(name, argument).slice(1);
}

/** The address of a view for links; `part` is a class of the dataset that `argument` names. */
function address(name, argument = "", part = "") {
  return `#${[name, argument, part].filter(Boolean).map(encodeURIComponent).join("/")}`;
}

/** A part of an address, which a user may have typed. */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Says a sentence to users of screen readers. */
function announce(sentence) {
  document.querySelector("#live").textContent = sentence;
}

/** Two windows, for a narrow screen. */
function windowsIcon() {
  const path = "M8 8V4h12v12h-4M4 8h12v12H4z";
  return svg("svg.short", { viewBox: "0 0 24 24", width: 22, height: 22, "aria-hidden": "true" }, svg("path", { d: path, fill: "none", stroke: "currentColor", "stroke-width": 2 }));
}

function drawNavigation(current) {
  const link = ({ name }) =>
    element("a", { href: address(name), "aria-current": name === current ? "page" : null }, text(`${name}.name`));
  replace(document.querySelector("#views"), VIEWS.map(link));
}

function drawTools() {
  const options = Object.entries(LANGUAGES).map(([name, label]) =>
    element("option", { value: name, selected: name === language, lang: name }, label),
  );
  const choice = element("select", { "aria-label": text("app.language"), onchange: (event) => chooseLanguage(event.target.value) }, options);
  const browser = element("button.plain.wide", { type: "button", id: "show-link", hidden: true, "aria-label": text("app.another_browser"), title: text("app.another_browser") }, element("span.long", {}, text("app.another_browser")), windowsIcon());
  const keys = element("button.plain", { type: "button", id: "show-keys", hidden: true, "aria-label": text("app.keys"), title: text("app.keys") }, "?");
  replace(document.querySelector("#tools"), browser, choice, keys);
}

/** What concerns all views: no connection, and who else reaches the studio. */
function drawNotices({ exposure }) {
  const notices = [];
  if (!state.online) notices.push(element("p.notice", { role: "alert" }, text("app.offline")));
  if (exposure && !exposure.local) {
    const kind = exposure.password ? "app.exposed_password" : "app.exposed_proxy";
    notices.push(element("p.notice", {}, text(kind, { address: exposure.address })));
  }
  const drawn = document.querySelector("#notices");
  const sentences = notices.map((notice) => notice.textContent).join();
  if (drawn.dataset.shown !== sentences) replace(drawn, notices);
  drawn.dataset.shown = sentences;
}

function askForSession() {
  events.stop();
  leave();
  leave = () => {};
  signIn(main);
}

start();
