/** The language of the page. */
import { ref, watchEffect } from "./vue.js";
import { WORDS } from "./dictionary.js";

const KEY = "geo-diff-language";
const preferred = navigator.languages.map((tag) => tag.slice(0, 2)).find((tag) => tag in WORDS);

export const language = ref(localStorage.getItem(KEY) ?? preferred ?? "en");

watchEffect(() => {
  document.documentElement.lang = language.value;
  document.title = `Geo-Diff · ${t("subtitle")}`;
});

/** @param {string} tag */
export function speak(tag) {
  language.value = tag;
  localStorage.setItem(KEY, tag);
}

/**
 * The words for a key, with `{name}` replaced.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  const words = WORDS[language.value][key];
  if (words === undefined) throw new Error(`no words for ${key} in ${language.value}`);
  return words.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** The browser's region for this language: in Britain dates read "15 July". */
const locale = () =>
  navigator.languages.find((tag) => tag.startsWith(language.value)) ?? language.value;

/** @param {string} date @param {"long" | "medium"} [dateStyle] */
export function day(date, dateStyle = "long") {
  const options = { dateStyle, timeZone: "UTC" };
  return new Intl.DateTimeFormat(locale(), options).format(new Date(`${date}T12:00:00Z`));
}

/** @param {string} date */
export function month(date) {
  const options = { month: "narrow", timeZone: "UTC" };
  return new Intl.DateTimeFormat(locale(), options).format(new Date(`${date}T12:00:00Z`));
}

/** @param {number} share 0 to 1 */
export function percent(share) {
  const options = { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 };
  return new Intl.NumberFormat(locale(), options).format(share);
}
