import type { ReactNode } from "react";
import { Icon } from "./Icon.tsx";

export type NoticeTone = "info" | "warn" | "bad";

interface NoticeProps {
  tone?: NoticeTone;
  title: string;
  children?: ReactNode;
}

/** A sentence that matters, and what to do about it. */
export function Notice({ tone = "info", title, children }: NoticeProps) {
  return (
    <div
      className={tone === "info" ? "notice" : `notice notice-${tone}`}
      role={tone === "bad" ? "alert" : "status"}
    >
      <Icon name={tone === "info" ? "info" : "warning"} />
      <div className="notice-body">
        <p className="notice-title">{title}</p>
        {children}
      </div>
    </div>
  );
}
