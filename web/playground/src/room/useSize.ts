import { type RefObject, useLayoutEffect, useRef, useState } from "react";
import type { Place } from "./layout.ts";

/** An element's content size in pixels, kept up to date. */
export function useSize<E extends HTMLElement>(): [RefObject<E | null>, Place] {
  const element = useRef<E>(null);
  const [size, setSize] = useState<Place>({ width: 0, height: 0 });
  useLayoutEffect(() => {
    if (!element.current) return;
    const observer = new ResizeObserver(([entry]) => {
      if (entry) setSize({ width: entry.contentRect.width, height: entry.contentRect.height });
    });
    observer.observe(element.current);
    return () => observer.disconnect();
  }, []);
  return [element, size];
}
