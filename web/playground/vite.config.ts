import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// During `npm run dev` the page comes from Vite and everything else from a running server.
const SERVER = process.env.SPARKRTC_URL ?? "http://127.0.0.1:7880";

export default defineConfig({
  base: "/play/",
  plugins: [react()],
  build: {
    // The content policy allows no data: scripts or styles, and a file has a hashed, cacheable name.
    assetsInlineLimit: 0,
    // LiveKit's client is one file of about 540 kB, loaded behind the lobby.
    chunkSizeWarningLimit: 600,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  server: {
    host: "127.0.0.1",
    proxy: {
      "/api": SERVER,
      "/rtc": { target: SERVER, ws: true },
    },
  },
});
