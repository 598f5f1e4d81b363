// Cells of CSV that spreadsheets show and do not compute: the same as `cell_text` of model/tables.py, which reads them back.

import { code, CONTROLS } from "./shown.js";

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
