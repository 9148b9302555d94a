/** The colour theme: the system's choice unless the person has made one, remembered in this browser. */

import { createStore, type Store } from "./store.ts";

export type Theme = "system" | "light" | "dark";

const STORAGE_KEY = "sparkrtc.theme";

/** Reads what was remembered; anything unknown means "system". */
export function parseTheme(stored: string | null): Theme {
  return stored === "light" || stored === "dark" ? stored : "system";
}

/** The theme, applied to `<html>` at once and on every change. */
export function createThemeStore(root: HTMLElement, storage: Storage): Store<Theme> {
  const store = createStore(parseTheme(storage.getItem(STORAGE_KEY)));
  const apply = () => {
    const theme = store.read();
    if (theme === "system") {
      delete root.dataset.theme;
      storage.removeItem(STORAGE_KEY);
    } else {
      root.dataset.theme = theme;
      storage.setItem(STORAGE_KEY, theme);
    }
  };
  apply();
  store.subscribe(apply);
  return store;
}
