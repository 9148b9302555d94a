import type { ReactNode } from "react";

/** Drawn on a 24 × 24 grid with 2-unit round strokes in the current colour. */
const DRAWINGS = {
  mic: (
    <>
      <rect x="9" y="3" width="6" height="11" rx="3" />
      <path d="M5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3" />
    </>
  ),
  micOff: (
    <>
      <path d="M15 10V6a3 3 0 0 0-5.8-1.1M9 9.5V11a3 3 0 0 0 4.4 2.7" />
      <path d="M5.5 11.5a6.5 6.5 0 0 0 10.3 5.3M18 14a6.5 6.5 0 0 0 .5-2.5M12 18v3M4 3l16 18" />
    </>
  ),
  camera: (
    <>
      <rect x="3" y="6" width="12" height="12" rx="2" />
      <path d="m15 11 6-3.5v9L15 13" />
    </>
  ),
  cameraOff: (
    <>
      <path d="M9 6h4a2 2 0 0 1 2 2v3l6-3.5v9l-2-1.2M15 15.5V16a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V8a2 2 0 0 1 1.5-1.9M4 3l16 18" />
    </>
  ),
  screen: (
    <>
      <rect x="3" y="4" width="18" height="13" rx="2" />
      <path d="M8.5 21h7M12 14V8m0 0-2.5 2.5M12 8l2.5 2.5" />
    </>
  ),
  screenOff: (
    <>
      <rect x="3" y="4" width="18" height="13" rx="2" />
      <path d="M8.5 21h7M9.5 8l5 5m0-5-5 5" />
    </>
  ),
  chat: <path d="M4 5h16v11H10l-4 4v-4H4z" />,
  people: (
    <>
      <circle cx="9" cy="8" r="3.2" />
      <path d="M3 20c0-3.6 2.6-5.6 6-5.6s6 2 6 5.6M15.5 5.2a3.2 3.2 0 0 1 0 5.6M17.5 14.8c2.2.7 3.5 2.5 3.5 5.2" />
    </>
  ),
  settings: (
    <>
      <path d="M4 7h9M17 7h3M4 17h3M11 17h9" />
      <circle cx="15" cy="7" r="2" />
      <circle cx="9" cy="17" r="2" />
    </>
  ),
  leave: (
    <path d="M3.5 14.5c-.7-1-.6-2.4.3-3.2C6 9.3 9 8.5 12 8.5s6 .8 8.2 2.8c.9.8 1 2.2.3 3.2l-.7 1c-.5.7-1.4 1-2.2.6L15.3 15c-.7-.4-1.1-1-1.1-1.8V12a9 9 0 0 0-4.4 0v1.2c0 .8-.4 1.4-1.1 1.8l-2.3 1.1c-.8.4-1.7.1-2.2-.6z" />
  ),
  invite: (
    <>
      <circle cx="10" cy="8" r="3.2" />
      <path d="M3.5 20c0-3.6 2.9-5.6 6.5-5.6 1.5 0 2.9.4 4 1M18 14v6M15 17h6" />
    </>
  ),
  copy: (
    <>
      <rect x="8" y="8" width="12" height="12" rx="2" />
      <path d="M16 8V6a2 2 0 0 0-2-2H6a2 2 0 0 0-2 2v8a2 2 0 0 0 2 2h2" />
    </>
  ),
  close: <path d="m6 6 12 12M18 6 6 18" />,
  check: <path d="m5 12.5 4.5 4.5L19 7" />,
  warning: <path d="M12 4 2.8 20h18.4zM12 10v4.5M12 17.3v.2" />,
  info: (
    <>
      <circle cx="12" cy="12" r="9" />
      <path d="M12 11v5M12 7.8V8" />
    </>
  ),
  sun: (
    <>
      <circle cx="12" cy="12" r="4" />
      <path d="M12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6 7 7M17 17l1.4 1.4M18.4 5.6 17 7M7 17l-1.4 1.4" />
    </>
  ),
  moon: <path d="M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z" />,
  contrast: (
    <>
      <circle cx="12" cy="12" r="8.5" />
      <path d="M12 3.5v17a8.5 8.5 0 0 0 0-17z" fill="currentColor" />
    </>
  ),
  language: (
    <>
      <circle cx="12" cy="12" r="9" />
      <path d="M3 12h18M12 3c2.5 2.5 3.7 5.5 3.7 9s-1.2 6.5-3.7 9c-2.5-2.5-3.7-5.5-3.7-9S9.5 5.5 12 3z" />
    </>
  ),
  pin: <path d="M9 4h6l-.7 6 3.2 3.5H6.5L9.7 10zM12 13.5V21" />,
  send: <path d="M4 12 20 4l-5 16-3.5-6.5z" />,
  speaker: <path d="M4 9.5h4L13 5v14l-5-4.5H4zM16.5 9a4.2 4.2 0 0 1 0 6M19 6.5a8 8 0 0 1 0 11" />,
  previous: <path d="m15 5-7 7 7 7" />,
  next: <path d="m9 5 7 7-7 7" />,
  down: <path d="m6 9 6 6 6-6" />,
} satisfies Record<string, ReactNode>;

export type IconName = keyof typeof DRAWINGS;

/** A decorative icon; whatever it stands for is said in words beside it or by its button. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg
      className="icon"
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth="2"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {DRAWINGS[name]}
    </svg>
  );
}
