import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import type { AskError } from "./project";
import { type Question, useWorld } from "./screen";
import { absolute, clock, isSameDay, short, span } from "./time";
import type { Tone } from "./types";

const SHAPES: Record<Tone, JSX.Element> = {
  fresh: <circle cx="6" cy="6" r="4" />,
  working: (
    <>
      <circle cx="6" cy="6" r="4.25" class="hollow" />
      <path d="M6 1.75a4.25 4.25 0 0 0 0 8.5z" />
    </>
  ),
  waiting: <path d="M6 1 11 6 6 11 1 6z" />,
  wrong: <rect x="1.5" y="1.5" width="9" height="9" />,
  off: <circle cx="6" cy="6" r="3.5" class="hollow" />,
};

/** A state: its color, its shape and its word. */
export function State({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return (
    <span class={`state tone-${tone}`}>
      <svg class="mark" viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">
        {SHAPES[tone]}
      </svg>
      {children}
    </span>
  );
}

const TONE_OF_STATUS: Record<string, Tone> = {
  running: "working",
  completed: "fresh",
  partial: "wrong",
  failed: "wrong",
  cancelled: "off",
};

export const toneOf = (status: string): Tone => TONE_OF_STATUS[status] ?? "off";

export const sentence = (words: string): string => words.charAt(0).toUpperCase() + words.slice(1);

export function Status({ status }: { status: string }) {
  return <State tone={toneOf(status)}>{sentence(status)}</State>;
}

/** A name or text from outside: isolated, so that it cannot turn what stands around it. */
export function Name({ children, class: className }: { children: string; class?: string }) {
  return <bdi class={className ?? ""}>{children}</bdi>;
}

const SHOWN_AS_DATE_MS = 60 * 86_400_000;

/** How long ago, with the absolute time for who asks. */
export function Ago({
  at,
  now,
  none = "never",
}: {
  at: string | null;
  now: number;
  none?: string;
}) {
  if (!at) return <span class="muted">{none}</span>;
  const ms = now - Date.parse(at);
  const text = ms < 0 ? `in ${span(-ms)}` : ms < 1_000 ? "now" : `${span(ms)} ago`;
  return (
    <time dateTime={at} title={absolute(at)} tabIndex={-1}>
      {ms > SHOWN_AS_DATE_MS ? short(at) : text}
    </time>
  );
}

/** The time itself, with its day unless that is today. The head of its column names the zone. */
export function At({ at, now }: { at: string; now: number }) {
  return (
    <time dateTime={at} title={absolute(at)}>
      {isSameDay(at, now) ? clock(at) : short(at)}
    </time>
  );
}

export function Copy({ text, label }: { text: string; label?: string }) {
  const [said, setSaid] = useState("");
  const { announce } = useWorld();
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setSaid("Copied");
      announce("Copied");
    } catch {
      setSaid("Select it to copy");
    }
    setTimeout(() => setSaid(""), 1_500);
  };
  return (
    <span class="copy">
      <code class={label ? "short" : ""} title={label ? text : ""}>
        <bdi>{label ?? text}</bdi>
      </code>
      <button type="button" class="quiet" onClick={copy} aria-label={`Copy ${text}`}>
        {said || "Copy"}
      </button>
    </span>
  );
}

const LINES = 3;

/** A text in whole, folded after three lines. */
export function Fold({ text }: { text: string }) {
  const [isOpen, setIsOpen] = useState(false);
  const isLong = text.length > 240 || text.split("\n").length > LINES;
  return (
    <span class="fold">
      <bdi class={isLong && !isOpen ? "clamped" : ""}>{text}</bdi>
      {isLong && (
        <button
          type="button"
          class="quiet"
          aria-expanded={isOpen}
          onClick={() => setIsOpen(!isOpen)}
        >
          {isOpen ? "Less" : "All of it"}
        </button>
      )}
    </span>
  );
}

export function Failure({ error }: { error: AskError }) {
  return (
    <div class="notice tone-wrong" role="alert">
      <State tone="wrong">
        <Fold text={error.message} />
      </State>
      {error.hint && <p class="muted">{error.hint}</p>}
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

export function Bar({ value, label }: { value: number | null; label: string }) {
  return (
    <svg
      class="bar"
      viewBox="0 0 100 4"
      preserveAspectRatio="none"
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      {...(value === null ? {} : { "aria-valuenow": Math.floor(value) })}
    >
      <rect class="bar-rest" width="100" height="4" />
      <rect class="bar-done" width={value ?? 0} height="4" />
    </svg>
  );
}

export function Fact({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <div class="fact">
      <dt>{label}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** What will be done, before it is done; a refusal stays here in the database's words. */
export function Confirm({ question, close }: { question: Question; close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [error, setError] = useState<AskError | null>(null);
  const [isBusy, setIsBusy] = useState(false);
  const { announce } = useWorld();
  const title = useId();
  useEffect(() => dialog.current?.showModal(), []);
  const act = async () => {
    setIsBusy(true);
    setError(null);
    try {
      announce(await question.act());
      close();
    } catch (refusal) {
      setError(refusal as AskError);
      setIsBusy(false);
    }
  };
  return (
    <dialog ref={dialog} aria-labelledby={title} onClose={close}>
      <h2 id={title}>{question.title}</h2>
      <div class="dialog-body">{question.body}</div>
      {error && <Failure error={error} />}
      <div class="dialog-acts">
        <button type="button" onClick={() => dialog.current?.close()}>
          Leave it
        </button>
        <button
          type="button"
          class={question.isDangerous ? "primary dangerous" : "primary"}
          disabled={isBusy}
          onClick={act}
        >
          {question.button}
        </button>
      </div>
    </dialog>
  );
}
