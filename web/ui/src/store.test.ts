import { expect, test } from "vitest";
import { createStore } from "./store.ts";
import { parseTheme } from "./theme.ts";

test("a listener hears each change once and nothing after it stopped", () => {
  const store = createStore(1);
  const heard: number[] = [];
  const stop = store.subscribe(() => heard.push(store.read()));
  store.write(2);
  store.write(2);
  store.write(3);
  stop();
  store.write(4);
  expect(heard).toEqual([2, 3]);
  expect(store.read()).toBe(4);
});

test("an unknown stored theme means the system's", () => {
  expect(parseTheme("dark")).toBe("dark");
  expect(parseTheme("light")).toBe("light");
  expect(parseTheme("blue")).toBe("system");
  expect(parseTheme(null)).toBe("system");
});
