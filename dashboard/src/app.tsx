import type { Session } from "@supabase/supabase-js";
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { AlertsScreen } from "./alerts";
import { EngineScreen } from "./engine";
import { FleetScreen } from "./fleet";
import { JobScreen } from "./job";
import { JobsScreen } from "./jobs";
import type { Project } from "./project";
import { followLink, go, type Route, SEARCH, searching, useRoute } from "./router";
import {
  GREY_AFTER_MS,
  type Question,
  type Seen,
  useTick,
  type World,
  WorldContext,
} from "./screen";
import { NoOperator, SignIn } from "./signin";
import { Socket, type SocketState } from "./socket";
import { SourcesScreen } from "./sources";
import { absolute, count, span, zone } from "./time";
import { Confirm, Empty, State } from "./ui";
import { WorkspaceScreen } from "./workspace";

const TITLES: Record<Route["screen"], string> = {
  fleet: "Fleet",
  jobs: "Jobs",
  job: "Job",
  workspace: "Workspace",
  alerts: "Alerts",
  engine: "Engine",
  sources: "Sources",
  none: "Nothing here",
};

export function App({ project }: { project: Project }) {
  const [session, setSession] = useState<Session | null | undefined>(undefined);
  const [reason, setReason] = useState("");
  const wasIn = useRef(false);
  const isLeaving = useRef(false);
  useEffect(() => {
    const { data } = project.client.auth.onAuthStateChange((event, next) => {
      if (event === "SIGNED_OUT" && wasIn.current && !isLeaving.current) {
        setReason("Your session has ended. Sign in again.");
      }
      wasIn.current = next !== null;
      isLeaving.current = false;
      setSession(next);
    });
    return () => data.subscription.unsubscribe();
  }, [project]);
  useEffect(() => {
    document.addEventListener("click", followLink);
    return () => document.removeEventListener("click", followLink);
  }, []);
  const leave = () => {
    isLeaving.current = true;
    setReason("");
    void project.client.auth.signOut({ scope: "local" });
  };
  const expire = useCallback(() => {
    void project.client.auth.refreshSession().then(({ error }) => {
      if (error) void project.client.auth.signOut({ scope: "local" });
    });
  }, [project]);

  if (session === undefined) return null;
  if (session === null) return <SignIn project={project} reason={reason} />;
  return <Signed project={project} session={session} leave={leave} expire={expire} />;
}

interface Announced {
  id: number;
  text: string;
}

function Signed({
  project,
  session,
  leave,
  expire,
}: {
  project: Project;
  session: Session;
  leave: () => void;
  expire: () => void;
}) {
  const route = useRoute();
  const [seen, setSeen] = useState<Seen>({ head: null, receivedAt: 0, error: null });
  const [socketState, setSocketState] = useState<SocketState>("polling");
  const [question, setQuestion] = useState<Question | null>(null);
  const [announced, setAnnounced] = useState<Announced | null>(null);
  const [isHelpOpen, setIsHelpOpen] = useState(false);
  const socket = useMemo(() => new Socket(project), [project]);
  const email = session.user.email ?? "";

  const report = useCallback(
    (next: Seen) => {
      setSeen((before) => (next.head ? next : { ...before, error: next.error }));
      if (next.error?.isExpired) expire();
    },
    [expire],
  );
  const announce = useCallback((text: string) => {
    if (text) setAnnounced({ id: Date.now(), text });
  }, []);
  const world = useMemo<World>(
    () => ({ project, socket, email, report, announce, confirm: setQuestion }),
    [project, socket, email, report, announce],
  );

  useEffect(() => {
    const stop = socket.listen((state) => setSocketState(state));
    const follow = () => (document.hidden ? socket.close() : void socket.open());
    follow();
    document.addEventListener("visibilitychange", follow);
    return () => {
      stop();
      document.removeEventListener("visibilitychange", follow);
      socket.close();
    };
  }, [socket]);
  useEffect(() => {
    if (!announced) return;
    const timer = setTimeout(() => setAnnounced(null), 6_000);
    return () => clearTimeout(timer);
  }, [announced]);
  useEffect(() => {
    const what = route.screen === "workspace" ? route.name : TITLES[route.screen];
    document.title = `${what} · ${project.name} · Chunkwise`;
  }, [route, project]);
  useKeys(() => setIsHelpOpen((is) => !is));

  const isRefused = seen.error?.isNoOperator === true;
  return (
    <WorldContext.Provider value={world}>
      <a class="skip" href="#main">
        To the content
      </a>
      <header class="top">
        <a class="brand" href="/">
          Chunkwise
        </a>
        <nav aria-label="Screens">
          <Link to="/" screen="fleet" now={route}>
            Fleet
          </Link>
          <Link to="/jobs" screen="jobs" now={route}>
            Jobs
            {seen.head && seen.head.live_jobs > 0 && (
              <span class="badge tone-working">{count(seen.head.live_jobs)}</span>
            )}
          </Link>
          <Link to="/alerts" screen="alerts" now={route}>
            Alerts
            {seen.head && seen.head.alerts > 0 && (
              <span class="badge tone-wrong">{count(seen.head.alerts)}</span>
            )}
          </Link>
          <Link to="/engine" screen="engine" now={route}>
            Engine
          </Link>
          <Link to="/sources" screen="sources" now={route}>
            Sources
          </Link>
        </nav>
        <Freshness seen={seen} socket={socketState} name={project.name} />
        <Account session={session} leave={leave} />
      </header>
      <Trouble seen={seen} />
      {isRefused ? (
        <main id="main">
          <NoOperator project={project} email={email} />
        </main>
      ) : (
        <Content route={route} seen={seen} />
      )}
      <div class="toasts" role="status" aria-live="polite">
        {announced && (
          <p class="toast" key={announced.id}>
            {announced.text}
          </p>
        )}
      </div>
      {question && (
        <Confirm key={question.title} question={question} close={() => setQuestion(null)} />
      )}
      {isHelpOpen && <Help close={() => setIsHelpOpen(false)} />}
    </WorldContext.Provider>
  );
}

function Content({ route, seen }: { route: Route; seen: Seen }) {
  useTick();
  const age = seen.head ? performance.now() - seen.receivedAt : 0;
  return (
    <main id="main" class={age > GREY_AFTER_MS ? "grey" : ""} data-screen={route.screen}>
      {screen(route)}
    </main>
  );
}

function screen(route: Route) {
  switch (route.screen) {
    case "fleet":
      return <FleetScreen />;
    case "jobs":
      return <JobsScreen />;
    case "job":
      return <JobScreen key={route.id} id={route.id} />;
    case "workspace":
      return <WorkspaceScreen key={route.name} name={route.name} />;
    case "alerts":
      return <AlertsScreen />;
    case "engine":
      return <EngineScreen />;
    case "sources":
      return <SourcesScreen />;
    default:
      return (
        <Empty title="There is nothing at this address">
          <p>
            <a href="/">Go to the fleet</a>
          </p>
        </Empty>
      );
  }
}

function Link({
  to,
  screen: name,
  now,
  children,
}: {
  to: string;
  screen: Route["screen"];
  now: Route;
  children: preact.ComponentChildren;
}) {
  const isHere =
    now.screen === name ||
    (name === "jobs" && now.screen === "job") ||
    (name === "fleet" && now.screen === "workspace");
  return (
    <a href={to} {...(isHere ? { "aria-current": "page" as const } : {})}>
      {children}
    </a>
  );
}

/** How old what is shown is, and by which way it comes. */
function Freshness({ seen, socket, name }: { seen: Seen; socket: SocketState; name: string }) {
  useTick();
  const age = performance.now() - seen.receivedAt;
  const isOld = seen.head !== null && age > GREY_AFTER_MS;
  return (
    <span class="freshness" title={`Times are in ${zone}`}>
      <bdi class="project">{name}</bdi>
      <span class="muted" data-test="age">
        {seen.head === null
          ? "asking"
          : isOld
            ? `shown as of ${span(age)} ago`
            : `updated ${age < 1_000 ? "now" : `${span(age)} ago`}`}
      </span>
      <span
        class={`socket ${socket}`}
        data-test="socket"
        title={
          socket === "live"
            ? "Changes arrive as they happen"
            : "The live socket is down: asking at an interval"
        }
      >
        {socket === "live" ? "live" : "polling"}
      </span>
    </span>
  );
}

/** What keeps the page from knowing, as long as it does. */
function Trouble({ seen }: { seen: Seen }) {
  useTick();
  const error = seen.error;
  if (!error || error.isNoOperator) return null;
  const age = seen.head
    ? `What is shown is ${span(performance.now() - seen.receivedAt)} old. `
    : "";
  const words = error.isUnreachable
    ? `${error.message}. ${age}The page tries again by itself.`
    : error.isKeyRefused
      ? `The project refuses this page's key: ${error.message}. ${age}config.json needs the present publishable key.`
      : error.isExpired
        ? `The session is refused: ${error.message}. It is being renewed.`
        : `${error.message}. ${error.hint} ${age}`;
  return (
    <div class="trouble" role="alert" data-test="trouble">
      <State tone={error.isUnreachable ? "waiting" : "wrong"}>{words}</State>
    </div>
  );
}

function Account({ session, leave }: { session: Session; leave: () => void }) {
  const until = session.expires_at
    ? absolute(new Date(session.expires_at * 1_000).toISOString())
    : "";
  return (
    <details class="account">
      <summary>
        <bdi>{session.user.email}</bdi>
      </summary>
      <div class="menu">
        <p class="muted">Signed in until {until}; it is renewed while this page is open.</p>
        <p class="muted">Times are in {zone}.</p>
        <button type="button" onClick={leave}>
          Sign out
        </button>
      </div>
    </details>
  );
}

const KEYS: [string, string][] = [
  ["/", "Filter the fleet"],
  ["j, k", "Next, previous row"],
  ["Enter", "Open the row's workspace"],
  ["s", "Sync the row's workspace"],
  ["g then f, j, a, e, s", "Fleet, jobs, alerts, engine, sources"],
  ["?", "This list"],
];

function Help({ close }: { close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} onClose={close} aria-labelledby="keys">
      <h2 id="keys">Keys</h2>
      <dl class="keys">
        {KEYS.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <div class="dialog-acts">
        <button type="button" class="primary" onClick={() => dialog.current?.close()}>
          Close
        </button>
      </div>
    </dialog>
  );
}

const PLACES: Record<string, string> = {
  f: "/",
  j: "/jobs",
  a: "/alerts",
  e: "/engine",
  s: "/sources",
};

function useKeys(toggleHelp: () => void) {
  const goes = useRef(false);
  const toggle = useRef(toggleHelp);
  toggle.current = toggleHelp;
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (
        event.metaKey ||
        event.ctrlKey ||
        event.altKey ||
        target.closest("input, textarea, select, dialog")
      )
        return;
      const place = goes.current ? PLACES[event.key] : undefined;
      goes.current = event.key === "g";
      if (place) {
        event.stopImmediatePropagation();
        go(place);
      } else if (event.key === "?") toggle.current();
      else if (event.key === "/") {
        searching.isWanted = true;
        if (location.pathname !== "/") go("/");
        window.dispatchEvent(new Event(SEARCH));
      } else return;
      event.preventDefault();
    };
    window.addEventListener("keydown", press, true);
    return () => window.removeEventListener("keydown", press, true);
  }, []);
}
