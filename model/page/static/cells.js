// Cells of CSV that spreadsheets show and do not compute: the same as `cell_text` of model/tables.py, which reads them back.

// As CONTROLS of model/shown.py, without line feeds and tabs.
const CONTROLS =
  "\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f" +
  "\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u206f" +
  "\\u00ad\\u034f\\u180e\\u200b\\u2060-\\u2065\\ufeff\\ufff0-\\ufffb\\ufffe\\uffff" +
  "\\u115f\\u1160\\u17b4\\u17b5\\u3164\\uffa0" +
  "\\ud800-\\udfff" +
  "\\u{1bca0}-\\u{1bca3}\\u{1d173}-\\u{1d17a}\\u{e0000}-\\u{e001f}\\u{e0080}-\\u{e00ff}\\u{e01f0}-\\u{e0fff}";
const LEADING =
  " \\t\\n\\u00a0\\u1680\\u2000-\\u200a\\u200c\\u200d\\u202f\\u205f\\u3000\\ufe00-\\ufe0f" +
  "\"'`\\u00b4\\u2018-\\u201f\\u00ab\\u00bb\\u2039\\u203a\\uff02\\uff07";
const FORMULA =
  "=+\\-@\\uff1d\\uff0b\\uff0d\\uff20\\ufe66\\ufe62\\ufe63\\ufe6b\\u207a-\\u207c\\u208a-\\u208c\\u2212\\ufb29";
const NUMBER = /^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?$/i;
const PREFIXED = new RegExp(`^([${LEADING}]*[${FORMULA}]|'*[\\t\\n]|'+\\\\)`, "u");
const CONTROL = new RegExp(`[${CONTROLS}]`, "gu");
const LATER_FORMULA = new RegExp(`([;\\t\\n][${LEADING}]*)([${FORMULA}])`, "gu");

export function cellText(text) {
  const escaped = text.replaceAll("\\", "\\\\");
  const coded = escaped.replace(CONTROL, code).replace(LATER_FORMULA, (_, before, char) => before + code(char));
  if (coded !== escaped) return `'\\${coded}`;
  return PREFIXED.test(text) && !NUMBER.test(text) ? `'${text}` : text;
}

// As Python writes it: \r, \x1b, \u202e, \U000e0001.
function code(char) {
  const number = char.codePointAt(0);
  if (char === "\r") return "\\r";
  const [letter, digits] = number < 0x100 ? ["x", 2] : number < 0x10000 ? ["u", 4] : ["U", 8];
  return `\\${letter}${number.toString(16).padStart(digits, "0")}`;
}
