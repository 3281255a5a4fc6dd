/** Texts of the page in the viewer's language. */

const LANGUAGES = ["en", "ko"];
const KEY = "gaze-studio-language";
let strings = {};
let wanted = null;

/** Returns what the browser has stored; null without anything, or if it stores nothing for this page. */
export function readStored(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/** Stores a value for the next visit, if the browser allows it. */
export function store(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Blocked or full: the page works without.
  }
}

/** Returns a text with its values, such as `t("watch.seconds", { seconds: 10 })`. */
export function t(key, values = {}) {
  return (strings[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/** Whether there is a text. */
export function hasText(key) {
  return key in strings;
}

export function chooseLanguage() {
  const wished = [readStored(KEY), ...navigator.languages.map((each) => each.slice(0, 2))];
  return wished.find((each) => LANGUAGES.includes(each)) ?? "en";
}

/** Returns the language of the page as the browser's user writes it, such as "en-GB", for dates. */
export function findLocale(language, wished = navigator.languages) {
  return wished.find((each) => each.split("-")[0] === language) ?? language;
}

/** Loads a language and writes its texts into the page. */
export async function useLanguage(language, { remember = false } = {}) {
  wanted = language;
  const response = await fetch(`/static/strings.${language}.json`);
  const found = await response.json();
  if (wanted !== language) return; // another one was chosen meanwhile
  strings = found;
  if (remember) store(KEY, language);
  document.documentElement.lang = language;
  translate(document);
}

/** Writes the texts of an element's parts. */
export function translate(root) {
  for (const element of root.querySelectorAll("[data-t]")) {
    element.textContent = t(element.dataset.t, JSON.parse(element.dataset.values ?? "{}"));
  }
  for (const element of root.querySelectorAll("[data-t-label]")) {
    element.setAttribute("aria-label", t(element.dataset.tLabel));
  }
}

/** Gives an element a text that follows the language. */
export function setText(element, key, values = {}) {
  element.dataset.t = key;
  element.dataset.values = JSON.stringify(values);
  element.textContent = t(key, values);
}
