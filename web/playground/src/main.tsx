import "@sparkrtc/ui/tokens.css";
import "@sparkrtc/ui/base.css";
import "./page.css";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App.tsx";

const page = document.getElementById("page");
if (!page) throw new Error("invariant: index.html has the element the page is drawn into");
createRoot(page).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
