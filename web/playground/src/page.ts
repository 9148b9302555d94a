/** What this one page has once: its storage, language, theme and settings. */

import { createLanguageStore } from "@sparkrtc/ui/language";
import { openStorage } from "@sparkrtc/ui/storage";
import { createStore } from "@sparkrtc/ui/store";
import { createThemeStore } from "@sparkrtc/ui/theme";
import { formatSettings, parseSettings, type Settings } from "./settings.ts";

export const storage = openStorage();

export const language = createLanguageStore(
  document.documentElement,
  storage,
  navigator.languages ?? [navigator.language],
);

export const theme = createThemeStore(document.documentElement, storage);

export const settings = createStore<Settings>(parseSettings(location.search));

settings.subscribe(() => {
  history.replaceState(
    null,
    "",
    location.pathname + formatSettings(settings.read()) + location.hash,
  );
});
