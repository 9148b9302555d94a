import { type ComponentProps, type ReactNode, useId } from "react";

interface Labelled {
  label: string;
  hint?: string | undefined;
}

/** A one-line text input with its label and hint. */
export function TextField({ label, hint, ...rest }: Labelled & ComponentProps<"input">) {
  const id = useId();
  return (
    <div className="field">
      <label className="field-label" htmlFor={id}>
        {label}
      </label>
      <input
        id={id}
        className="input"
        aria-describedby={hint ? `${id}-hint` : undefined}
        {...rest}
      />
      {hint && (
        <span id={`${id}-hint`} className="field-hint">
          {hint}
        </span>
      )}
    </div>
  );
}

interface SelectFieldProps extends Labelled, ComponentProps<"select"> {
  children: ReactNode;
}

/** A choice among a few, with its label and hint. */
export function SelectField({ label, hint, children, ...rest }: SelectFieldProps) {
  const id = useId();
  return (
    <div className="field">
      <label className="field-label" htmlFor={id}>
        {label}
      </label>
      <select
        id={id}
        className="input"
        aria-describedby={hint ? `${id}-hint` : undefined}
        {...rest}
      >
        {children}
      </select>
      {hint && (
        <span id={`${id}-hint`} className="field-hint">
          {hint}
        </span>
      )}
    </div>
  );
}

interface CheckFieldProps extends Omit<ComponentProps<"input">, "type" | "onChange"> {
  label: string;
  onChange: (checked: boolean) => void;
}

/** A yes-or-no choice with its words beside it. */
export function CheckField({ label, onChange, ...rest }: CheckFieldProps) {
  return (
    <label className="check">
      <input type="checkbox" onChange={(event) => onChange(event.target.checked)} {...rest} />
      {label}
    </label>
  );
}
