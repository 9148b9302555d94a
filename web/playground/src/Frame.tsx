import { IconButton } from "@sparkrtc/ui/components/Button";
import type { IconName } from "@sparkrtc/ui/components/Icon";
import { type Language, languageTag } from "@sparkrtc/ui/language";
import type { Theme } from "@sparkrtc/ui/theme";
import { useStore } from "@sparkrtc/ui/useStore";
import type { ReactNode } from "react";
import { language, theme } from "./page.ts";
import { useWords } from "./useWords.ts";
import type { WordKey } from "./words/en.ts";

/** Every page but the call: name on top, switches for language and theme, one column of content. */
export function Frame({ children }: { children: ReactNode }) {
  const words = useWords();
  return (
    <div className="frame">
      <button type="button" className="skip-link" onClick={focusContent}>
        {words.say("skipToContent")}
      </button>
      <header className="frame-head">
        <span className="brand">
          <Mark />
          {words.say("appName")}
        </span>
        <PageSwitches />
      </header>
      <main id="content" className="frame-content" tabIndex={-1}>
        {children}
      </main>
    </div>
  );
}

/** The fragment holds the invitation, so this moves the focus where others follow a `#content` link. */
function focusContent() {
  document.getElementById("content")?.focus();
}

const THEMES: Record<Theme, { next: Theme; icon: IconName; label: WordKey }> = {
  system: { next: "light", icon: "contrast", label: "themeSystem" },
  light: { next: "dark", icon: "sun", label: "themeLight" },
  dark: { next: "system", icon: "moon", label: "themeDark" },
};

/** Language and theme. */
export function PageSwitches() {
  const words = useWords();
  const { next, icon, label } = THEMES[useStore(theme)];
  const other: Language = words.language === "en" ? "zh" : "en";
  return (
    <div className="page-switches">
      <button
        type="button"
        className="button button-quiet"
        lang={languageTag(other)}
        title={words.say("languageSwitch")}
        onClick={() => language.write(other)}
      >
        {words.say("language")}
      </button>
      <IconButton icon={icon} label={words.say(label)} onClick={() => theme.write(next)} />
    </div>
  );
}

function Mark() {
  return (
    <svg className="brand-mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="8" fill="#1b57cf" />
      <path d="M17.5 5 8 18h6.5L13 27l10-14h-6.8z" fill="#fff" />
    </svg>
  );
}
