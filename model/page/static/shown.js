// Texts from outside as visible characters: as `printable` of model/shown.py, whose sets of characters these are.

// Without line feeds and tabs, which end no line and open no column of the page.
export const CONTROLS =
  "\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f" +
  "\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u206f" +
  "\\u00ad\\u034f\\u180e\\u200b\\u2060-\\u2065\\ufeff\\ufff0-\\ufffb\\ufffe\\uffff" +
  "\\u115f\\u1160\\u17b4\\u17b5\\u3164\\uffa0" +
  "\\ud800-\\udfff" +
  "\\u{1bca0}-\\u{1bca3}\\u{1d173}-\\u{1d17a}\\u{e0000}-\\u{e001f}\\u{e0080}-\\u{e00ff}\\u{e01f0}-\\u{e0fff}";
const JOINERS = "\\u200c\\u200d";
const TAGS = "\\u{e0020}-\\u{e007f}";
const SELECTORS = "\\u180b-\\u180d\\u180f\\ufe00-\\ufe0f\\u{e0100}-\\u{e01ef}";
const FLAG = "\\u{1f3f4}[\\u{e0030}-\\u{e0039}\\u{e0061}-\\u{e007a}]{3,6}\\u{e007f}";
// Letters of scripts with joined forms, marks and emoji: what a joiner may stand between.
const JOINED = "(?![\\x00-\\x7f])[\\p{Lo}\\p{Mn}\\p{Mc}\\p{So}\\p{Sk}\\p{Sm}]";
const SELECTABLE = `[^${CONTROLS}${TAGS}${JOINERS}${SELECTORS}\\s]`;
const HARMLESS = `${FLAG}|(?<=${SELECTABLE})[${SELECTORS}]|(?<=${JOINED})[${JOINERS}](?=${JOINED})`;
const SUSPICIOUS = new RegExp(`(${HARMLESS})|[${CONTROLS}${TAGS}${JOINERS}${SELECTORS}]`, "gu");

export function printable(text) {
  return text.replace(SUSPICIOUS, (found, harmless) => harmless ?? code(found));
}

// Isolates a name written from right to left, so that it does not reorder the rest of the sentence.
export function isolated(text) {
  return `\u2068${printable(text)}\u2069`;
}

// As Python writes it: \r, \x1b, \u202e, \U000e0001.
export function code(char) {
  const number = char.codePointAt(0);
  if (char === "\r") return "\\r";
  const [letter, digits] = number < 0x100 ? ["x", 2] : number < 0x10000 ? ["u", 4] : ["U", 8];
  return `\\${letter}${number.toString(16).padStart(digits, "0")}`;
}

// "1 photo", "2 photos", "2 classes", as the library writes numbers of things.
export function counted(number, thing) {
  return number === 1 ? `1 ${thing}` : `${number} ${thing}${thing.endsWith("s") ? "es" : "s"}`;
}
