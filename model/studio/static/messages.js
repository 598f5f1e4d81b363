// Messages of the server: in the language of the page where there is a translation, otherwise marked as English.

import { element } from "./elements.js";
import { hasText, language, text } from "./texts.js";

/** What an error of a request, or of the page itself, says to the user: a text, or an element. */
export function messageOf(error) {
  if (error.status === 0 || !error.message) return text("app.offline");
  if (error.status === undefined) return error.message;
  const key = `error.${error.code}`;
  return hasText(key) ? text(key, error.values) : english(sentence(error.message));
}

/** A text that the server has in English only: screen readers change their voice. */
export function english(message) {
  return language === "en" || !message ? message : element("span", { lang: "en" }, message);
}

/** A text that begins with a capital letter. */
export function sentence(message) {
  return message.charAt(0).toUpperCase() + message.slice(1);
}
