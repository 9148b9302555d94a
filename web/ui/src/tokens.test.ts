import { expect, test } from "vitest";
import tokens from "./tokens.css?raw";

type Theme = 0 | 1;
const THEMES = ["light", "dark"] as const;

/** The colour of a token in a theme as `#rrggbb`. */
function colourOf(name: string, theme: Theme): string {
  const found = new RegExp(`--${name}: (?:light-dark\\((#\\w{6}), (#\\w{6})\\)|(#\\w{6}))`).exec(
    tokens,
  );
  const colour = found?.[3] ?? found?.[theme + 1];
  if (!colour) throw new Error(`no colour ${name}`);
  return colour;
}

/** WCAG 2.2, relative luminance. */
function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(a: string, b: string): number {
  const [light = 0, dark = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (light + 0.05) / (dark + 0.05);
}

const GROUNDS = ["color-page", "color-surface", "color-surface-raised", "color-surface-sunken"];

/** WCAG 2.2 AA: 4.5 for text (1.4.3), 3 for what shows a control or a state (1.4.11). */
const PAIRS: readonly [string, readonly string[], number][] = [
  ["color-text", [...GROUNDS, "color-hover", "color-warn-soft", "color-bad-soft"], 4.5],
  ["color-text-soft", GROUNDS, 4.5],
  ["color-accent", [...GROUNDS, "color-accent-soft"], 4.5],
  ["color-on-accent", ["color-accent", "color-accent-strong"], 4.5],
  ["color-on-bad", ["color-bad-fill"], 4.5],
  ["color-ok", GROUNDS, 4.5],
  ["color-warn", [...GROUNDS, "color-warn-soft"], 4.5],
  ["color-bad", [...GROUNDS, "color-bad-soft"], 4.5],
  ["color-unknown", GROUNDS, 3],
  ["color-border-strong", GROUNDS, 3],
  ["color-tile-text", ["color-tile"], 4.5],
  ...Array.from({ length: 12 }, (_, index): [string, string[], number] => [
    `series-${index + 1}`,
    ["color-surface"],
    3,
  ]),
];

test.each(PAIRS)("%s is legible on %s", (front, grounds, least) => {
  for (const ground of grounds) {
    for (const theme of [0, 1] as const) {
      const ratio = contrast(colourOf(front, theme), colourOf(ground, theme));
      expect(ratio, `${front} on ${ground}, ${THEMES[theme]}`).toBeGreaterThanOrEqual(least);
    }
  }
});
