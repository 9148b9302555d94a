import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["ui/src/**/*.test.ts", "playground/src/**/*.test.ts"],
    environment: "node",
    // The tokens are tested as text.
    css: true,
  },
});
