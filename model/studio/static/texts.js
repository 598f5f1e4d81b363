// All visible texts, in the language of the user: each file of texts/ is a language.

import { languages } from "./languages.js";

/** Language -> its name in itself. */
export const LANGUAGES = Object.fromEntries(languages.map((tag) => [tag, nameOf(tag)]));
const KEY = "topgraft language";

let texts = {};
let plurals = new Intl.PluralRules("en");
export let language = "en";

/** Reads the texts of the chosen language, or else of the browser's. */
export async function loadTexts() {
  const preferred = [localStorage.getItem(KEY), ...navigator.languages.map((tag) => tag.split("-")[0]), "en"];
  language = preferred.find((name) => name in LANGUAGES);
  texts = await (await fetch(`texts/${language}.json`)).json();
  plurals = new Intl.PluralRules(language);
  document.documentElement.lang = language;
}

/** Another language; the page is loaded again. */
export function chooseLanguage(name) {
  localStorage.setItem(KEY, name);
  location.reload();
}

/**
 * A text. `{name}` in it is replaced by a value; numbers are formatted. A text may have forms for a `count`:
 * {"one": "{count} photo", "other": "{count} photos"}.
 */
export function text(key, values = {}) {
  const found = texts[key];
  if (found === undefined) return key;
  const form = typeof found === "string" ? found : found[plurals.select(values.count)] ?? found.other;
  return form.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? shown(values[name]) : whole));
}

/** Whether there is a text. */
export function hasText(key) {
  return key in texts;
}

/** A number in the language of the user; options as of Intl.NumberFormat. */
export function number(value, options) {
  return new Intl.NumberFormat(language, options).format(value);
}

/** A duration in words, such as "2 min 5 s". */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return text("app.seconds", { count: whole });
  if (whole < 3600) return text("app.minutes", { minutes: Math.floor(whole / 60), seconds: whole % 60 });
  return text("app.hours", { hours: Math.floor(whole / 3600), minutes: Math.floor((whole % 3600) / 60) });
}

function nameOf(tag) {
  const name = new Intl.DisplayNames([tag], { type: "language" }).of(tag);
  return name.charAt(0).toLocaleUpperCase(tag) + name.slice(1);
}

function shown(value) {
  return typeof value === "number" ? number(value) : String(value);
}
