/** Which language the page speaks, and filling words into its sentences. */

import { createStore, type Store } from "./store.ts";

export type Language = "en" | "zh";

const STORAGE_KEY = "sparkrtc.language";

/** The remembered language, else the first of the browser's that we have, else English. */
export function chooseLanguage(stored: string | null, preferred: readonly string[]): Language {
  if (stored === "en" || stored === "zh") return stored;
  for (const tag of preferred) {
    const primary = tag.toLowerCase().split("-")[0];
    if (primary === "en" || primary === "zh") return primary;
  }
  return "en";
}

/** BCP 47 tag for `<html lang>` and `Intl`. */
export function languageTag(language: Language): string {
  return language === "zh" ? "zh-CN" : "en";
}

/** The language, applied to `<html lang>` at once and remembered when the person changes it. */
export function createLanguageStore(
  root: HTMLElement,
  storage: Storage,
  preferred: readonly string[],
): Store<Language> {
  const store = createStore(chooseLanguage(storage.getItem(STORAGE_KEY), preferred));
  root.lang = languageTag(store.read());
  store.subscribe(() => {
    root.lang = languageTag(store.read());
    storage.setItem(STORAGE_KEY, store.read());
  });
  return store;
}

export type Values = Readonly<Record<string, string | number>>;

/** Replaces each `{name}` by its value; a name without a value stays visible, so that tests see it. */
export function fill(sentence: string, values: Values = {}): string {
  return sentence.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    return value === undefined ? whole : String(value);
  });
}

/** Names of the placeholders of a sentence, sorted. */
export function placeholders(sentence: string): string[] {
  return [...sentence.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? "").sort();
}
