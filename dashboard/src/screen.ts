import { createContext } from "preact";
import { useContext, useEffect, useRef, useState } from "preact/hooks";
import type { AskError, Project } from "./project";
import type { Socket, SocketState } from "./socket";
import type { Head } from "./types";

export interface World {
  project: Project;
  socket: Socket;
  email: string;
  /** What the newest answer of any screen said, for the frame around it. */
  report: (seen: Seen) => void;
  announce: (text: string) => void;
  confirm: (question: Question) => void;
}

export interface Question {
  title: string;
  body: preact.ComponentChildren;
  /** What the button says: names what it is done to. */
  button: string;
  isDangerous?: boolean;
  act: () => Promise<string>;
}

export interface Seen {
  head: Head | null;
  receivedAt: number;
  error: AskError | null;
}

export const WorldContext = createContext<World | null>(null);

export function useWorld(): World {
  const world = useContext(WorldContext);
  if (!world) throw new Error("outside of the page");
  return world;
}

export interface Screen<Answer> {
  answer: Answer | null;
  /** Why there is no answer, unless the frame around the screen says so. */
  error: AskError | null;
  /** The database's time now, in ms, by the last answer's. */
  now: number;
}

export const GREY_AFTER_MS = 30_000;
const LEAST_GAP_MS = 1_000;
// Asking costs the database at most a twentieth of one processor.
const REST_PER_COST = 20;

function pause(failures: number, isLive: boolean, socket: SocketState): number {
  if (failures > 0) return Math.min(30_000, 1_000 * 2 ** failures);
  if (socket === "live") return isLive ? 4_000 : 15_000;
  return isLive ? 2_000 : 10_000;
}

/** Ask at once, then again by message and by interval, never while the tab is hidden. `key` says
 * what is asked: another one begins anew. `part` says which part of it: another one is asked for at
 * once too, and until it is here the last answer stays. */
export function useScreen<Answer extends Head>(
  key: string,
  ask: () => Promise<Answer>,
  part = "",
): Screen<Answer> {
  const { socket, report } = useWorld();
  const [state, setState] = useState<{
    key: string;
    answer: Answer | null;
    error: AskError | null;
    at: number;
  }>({ key, answer: null, error: null, at: 0 });
  const latest = useRef(ask);
  latest.current = ask;
  const look = useRef<() => void>(() => undefined);

  useEffect(() => {
    let isOver = false;
    let isAsking = false;
    let again: "no" | "soon" | "now" = "no";
    let timer = 0;
    let failures = 0;
    let rest = LEAST_GAP_MS;
    let isLive = false;
    let isAnswered = false;
    let askedAt = -Infinity;

    const schedule = (ms: number) => {
      clearTimeout(timer);
      timer = setTimeout(now, ms);
    };
    const now = async () => {
      clearTimeout(timer);
      if (isOver || document.hidden) return;
      if (isAsking) {
        again = "now";
        return;
      }
      isAsking = true;
      askedAt = performance.now();
      try {
        const answer = await latest.current();
        if (isOver) return;
        const at = performance.now();
        rest = Math.max(LEAST_GAP_MS, (at - askedAt) * REST_PER_COST);
        failures = 0;
        isAnswered = true;
        isLive = answer.live_jobs > 0;
        setState({ key, answer, error: null, at });
        report({ head: answer, receivedAt: at, error: null });
      } catch (error) {
        if (isOver) return;
        failures += 1;
        const refusal = error as AskError;
        // Said once: around the screen, or in it where nothing else is.
        const isAround = isAnswered || refusal.isOfThePage;
        setState((before) => ({ ...before, key, error: isAround ? null : refusal }));
        report({ head: null, receivedAt: 0, error: isAround ? refusal : null });
      }
      isAsking = false;
      const usual = Math.max(pause(failures, isLive, socket.state), failures ? 0 : rest);
      schedule(again === "now" ? 0 : again === "soon" ? Math.min(usual, rest) : usual);
      again = "no";
    };
    const hear = (_: SocketState, moved: boolean) => {
      if (!moved) return;
      if (isAsking) again = again === "now" ? "now" : "soon";
      else schedule(Math.max(0, askedAt + Math.min(rest, 5_000) - performance.now()));
    };
    const show = () => {
      if (!document.hidden) void now();
    };
    look.current = () => void now();
    const stopListening = socket.listen(hear);
    document.addEventListener("visibilitychange", show);
    window.addEventListener("online", show);
    void now();
    return () => {
      isOver = true;
      clearTimeout(timer);
      stopListening();
      document.removeEventListener("visibilitychange", show);
      window.removeEventListener("online", show);
    };
  }, [key, socket, report]);

  const askedPart = useRef(part);
  useEffect(() => {
    if (askedPart.current === part) return;
    askedPart.current = part;
    look.current();
  }, [part]);

  const isCurrent = state.key === key;
  const answer = isCurrent ? state.answer : null;
  const now = answer ? Date.parse(answer.as_of) + (performance.now() - state.at) : Date.now();
  return { answer, error: isCurrent ? state.error : null, now };
}

/** Renders again every second while it is seen. */
export function useTick(): void {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) tick((n) => n + 1);
    }, 1_000);
    return () => clearInterval(timer);
  }, []);
}
