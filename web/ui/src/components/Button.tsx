import type { ComponentProps } from "react";
import { Icon, type IconName } from "./Icon.tsx";

export type ButtonTone = "plain" | "primary" | "danger" | "quiet";

interface ButtonProps extends Omit<ComponentProps<"button">, "type"> {
  tone?: ButtonTone;
  size?: "normal" | "large";
  icon?: IconName;
  submits?: boolean;
}

/** A button with text, and an icon before it when given. */
export function Button({
  tone = "plain",
  size = "normal",
  icon,
  submits = false,
  className = "",
  children,
  ...rest
}: ButtonProps) {
  const classes = ["button"];
  if (tone !== "plain") classes.push(`button-${tone}`);
  if (size === "large") classes.push("button-large");
  if (className) classes.push(className);
  return (
    <button type={submits ? "submit" : "button"} className={classes.join(" ")} {...rest}>
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

interface IconButtonProps extends Omit<ComponentProps<"button">, "type" | "children"> {
  icon: IconName;
  /** What it does, for tooltips and screen readers. */
  label: string;
}

/** A square button that shows only an icon; its label is the tooltip and the accessible name. */
export function IconButton({ icon, label, className = "", ...rest }: IconButtonProps) {
  return (
    <button
      type="button"
      className={`button button-quiet button-icon ${className}`}
      aria-label={label}
      title={label}
      {...rest}
    >
      <Icon name={icon} />
    </button>
  );
}
