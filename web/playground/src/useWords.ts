import { fill, type Language, languageTag, type Values } from "@sparkrtc/ui/language";
import { useStore } from "@sparkrtc/ui/useStore";
import { useMemo } from "react";
import { language } from "./page.ts";
import { en, type WordKey } from "./words/en.ts";
import { zh } from "./words/zh.ts";

const WORDS: Readonly<Record<Language, Readonly<Record<WordKey, string>>>> = { en, zh };

/** Keys that come as `…_one` and `…_other`. */
type Counted = "people" | "chatUnread";

export interface Words {
  language: Language;
  /** The sentence, with its `{names}` filled. */
  say(key: WordKey, values?: Values): string;
  /** The sentence for a number, in the language's plural form. */
  count(key: Counted, count: number): string;
  /** A moment, given in Unix seconds, in the person's own time zone. */
  moment(unixSeconds: number): string;
}

/** The words of the page in the chosen language. */
export function useWords(): Words {
  const current = useStore(language);
  return useMemo(() => wordsOf(current), [current]);
}

function wordsOf(current: Language): Words {
  const words = WORDS[current];
  const tag = languageTag(current);
  const plural = new Intl.PluralRules(tag);
  const moment = new Intl.DateTimeFormat(tag, {
    dateStyle: "medium",
    timeStyle: "medium",
  });
  return {
    language: current,
    say: (key, values) => fill(words[key], values),
    count: (key, count) =>
      fill(words[`${key}_${plural.select(count) === "one" ? "one" : "other"}`], { count }),
    moment: (unixSeconds) => moment.format(unixSeconds * 1000),
  };
}
