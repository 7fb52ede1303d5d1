import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { Approve, Press, pauseAll, resumeAll, resumeWorkspace, retry, syncAll, syncWorkspace } from "./acts";
import { Sparkline } from "./charts";
import { SEARCH, go, jobPath, searching, workspacePath } from "./router";
import { useScreen, useWorld } from "./screen";
import { count, counted, duration, span } from "./time";
import type { Fleet, FleetRow } from "./types";
import { Ago, Bar, Copy, Empty, Failure, Name, State, sentence } from "./ui";

const BLOCK = 50;
const AROUND = 10;
const WIDE = matchMedia("(min-width: 900px)");

const keyOf = (row: FleetRow) => `${row.workspace_name} ${row.stream}`;

export function FleetScreen() {
  const { project, confirm } = useWorld();
  const [typed, setTyped] = useState("");
  const [search, setSearch] = useState("");
  const [only, setOnly] = useState<string | null>(null);
  const [range, setRange] = useState({ offset: 0, limit: 2 * BLOCK });
  const known = useRef(new Map<number, FleetRow>());
  const searchBox = useRef<HTMLInputElement>(null);

  useEffect(() => {
    const timer = setTimeout(() => setSearch(typed.trim()), 200);
    return () => clearTimeout(timer);
  }, [typed]);

  const what = JSON.stringify([search, only]);
  useMemo(() => {
    known.current = new Map();
    setRange({ offset: 0, limit: 2 * BLOCK });
  }, [what]);

  const { answer, error, now, refresh } = useScreen<Fleet>("fleet", () =>
    project.ask<Fleet>("get_fleet", {
      p_search: search || null,
      p_states: only ? [only] : null,
      p_limit: range.limit,
      p_offset: range.offset,
    }).then((fleet) => {
      fleet.rows.forEach((row, index) => known.current.set(range.offset + index, row));
      for (const index of known.current.keys()) if (index >= fleet.matching) known.current.delete(index);
      return fleet;
    }),
  );
  const isFirst = useRef(true);
  useEffect(() => {
    if (isFirst.current) isFirst.current = false;
    else refresh();
  }, [what, range.offset, range.limit]);

  const isThere = answer !== null;
  useEffect(() => {
    const find = () => {
      if (!searchBox.current || !searching.isWanted) return;
      searching.isWanted = false;
      searchBox.current.focus();
    };
    find();
    window.addEventListener(SEARCH, find);
    return () => window.removeEventListener(SEARCH, find);
  }, [isThere]);

  if (!answer) return error ? <Failure error={error} /> : <div class="loading" aria-busy="true" />;
  if (answer.total === 0) return <NoWorkspace />;
  return (
    <>
      <Summary fleet={answer} only={only} setOnly={setOnly}>
        {answer.is_paused ? (
          <Press class="primary" act={() => resumeAll(project)}>
            Resume everything
          </Press>
        ) : (
          <button type="button" class="quiet" onClick={() => confirm(pauseAll(project))}>
            Pause all…
          </button>
        )}
        <button type="button" class="primary" onClick={() => confirm(syncAll(project))}>
          Sync all…
        </button>
      </Summary>
      {answer.jobs.map((job) => (
        <a class="running" key={job.job_id} href={jobPath(job.job_id)}>
          <State tone="working">
            <Name>{job.job_name}</Name>
          </State>
          <Bar value={job.percentage} label={`Progress of ${job.job_name}`} />
          <span class="number">{job.percentage === null ? "counting" : `${Math.floor(job.percentage)} %`}</span>
          <span class="muted">
            {count(job.workspaces_completed)} of {counted(job.total_workspaces, "workspace")}
          </span>
        </a>
      ))}
      <div class="filter">
        <label class="search">
          <span class="hidden">Filter by name, state or reason</span>
          <input
            ref={searchBox}
            type="search"
            placeholder="Name, state or reason"
            value={typed}
            onInput={(event) => setTyped(event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key === "Escape") {
                setTyped("");
                event.currentTarget.blur();
              }
            }}
          />
          <kbd>/</kbd>
        </label>
        {only && (
          <button type="button" class="chip" onClick={() => setOnly(null)}>
            {sentence(only)} ✕
          </button>
        )}
        <span class="muted" data-test="matching">
          {answer.matching === answer.total ? counted(answer.total, "row") : `${count(answer.matching)} of ${counted(answer.total, "row")}`}
          , worst first
        </span>
      </div>
      {answer.matching === 0 ? (
        <Empty title="Nothing like that">
          <p>No workspace's name, state or reason has “{search}”{only ? ` among those that are ${only}` : ""}.</p>
          <p>
            <button type="button" onClick={() => (setTyped(""), setSearch(""), setOnly(null))}>
              Show all
            </button>
          </p>
        </Empty>
      ) : (
        <Rows rows={known.current} total={answer.matching} now={now} range={range} setRange={setRange} />
      )}
    </>
  );
}

function NoWorkspace() {
  return (
    <Empty title="No workspace yet">
      <p>A workspace is a tenant of an API, with its key. Add the first one from a terminal:</p>
      <p>
        <Copy text="chunkwise workspaces add NAME --base-url https://…" />
      </p>
      <p>It asks for the key, puts it into Vault, and says whose it is. Then, if no worker runs yet:</p>
      <p>
        <Copy text="chunkwise worker" />
      </p>
    </Empty>
  );
}

function Summary({
  fleet,
  only,
  setOnly,
  children,
}: {
  fleet: Fleet;
  only: string | null;
  setOnly: (state: string | null) => void;
  children: preact.ComponentChildren;
}) {
  const isOne = fleet.total === 1;
  return (
    <section class="summary" aria-label="Summary">
      <div class="summary-line">
        <h1>
          <strong>{count(fleet.fresh)}</strong> of {count(fleet.total)} fresh
        </h1>
        <div class="chips">
          {fleet.states
            .filter(({ state }) => state !== "fresh")
            .map(({ state, tone, count: rows }) => (
              <button
                type="button"
                key={state}
                class="chip"
                aria-pressed={only === state}
                onClick={() => setOnly(only === state ? null : state)}
              >
                <State tone={tone}>
                  {count(rows)} {state}
                </State>
              </button>
            ))}
        </div>
        <span class="summary-records">
          <strong class="number">{count(fleet.records ?? 0)}</strong>{" "}
          <span class="muted">of {fleet.api_total === null ? "?" : count(fleet.api_total)} records</span>
        </span>
        <div class="summary-acts">{children}</div>
      </div>
      <p class="hidden" role="status">
        {[`${fleet.fresh} of ${fleet.total} fresh`]
          .concat(fleet.states.filter(({ tone }) => tone === "wrong").map(({ state, count: rows }) => `${rows} ${state}`))
          .join(", ")}
      </p>
      <svg
        class="fleet-bar"
        viewBox={`0 0 ${fleet.total} 1`}
        preserveAspectRatio="none"
        role="img"
        aria-label={fleet.states.map(({ state, count: rows }) => `${rows} ${state}`).join(", ") + (isOne ? "" : ", in all " + fleet.total)}
      >
        {
          [...fleet.states].reverse().reduce<{ x: number; parts: preact.JSX.Element[] }>(
            ({ x, parts }, { state, tone, count: rows }) => ({
              x: x + rows,
              parts: [...parts, <rect key={state} class={`fill-${tone}`} x={x} width={rows} height="1" />],
            }),
            { x: 0, parts: [] },
          ).parts
        }
      </svg>
    </section>
  );
}

function Rows({
  rows,
  total,
  now,
  range,
  setRange,
}: {
  rows: Map<number, FleetRow>;
  total: number;
  now: number;
  range: { offset: number; limit: number };
  setRange: (range: { offset: number; limit: number }) => void;
}) {
  const list = useRef<HTMLDivElement>(null);
  const [isWide, setIsWide] = useState(WIDE.matches);
  const [view, setView] = useState({ first: 0, last: 40 });
  const [chosen, setChosen] = useState(-1);
  const height = isWide ? 36 : 116;

  useEffect(() => {
    const change = () => setIsWide(WIDE.matches);
    WIDE.addEventListener("change", change);
    return () => WIDE.removeEventListener("change", change);
  }, []);

  useLayoutEffect(() => {
    let frame = 0;
    const measure = () => {
      frame = 0;
      const top = list.current?.getBoundingClientRect().top ?? 0;
      const first = Math.max(0, Math.floor(-top / height) - AROUND);
      const last = Math.min(total, Math.ceil((innerHeight - top) / height) + AROUND);
      setView((before) => (before.first === first && before.last === last ? before : { first, last }));
    };
    const soon = () => {
      frame ||= requestAnimationFrame(measure);
    };
    measure();
    window.addEventListener("scroll", soon, { passive: true });
    window.addEventListener("resize", soon);
    return () => {
      cancelAnimationFrame(frame);
      window.removeEventListener("scroll", soon);
      window.removeEventListener("resize", soon);
    };
  }, [height, total]);

  useEffect(() => {
    const offset = Math.floor(view.first / BLOCK) * BLOCK;
    const limit = Math.ceil((view.last - offset) / BLOCK) * BLOCK || BLOCK;
    if (offset === range.offset && limit === range.limit) return;
    if (offset >= range.offset && offset + limit <= range.offset + range.limit && range.limit <= 3 * BLOCK) return;
    const timer = setTimeout(() => setRange({ offset, limit }), 80);
    return () => clearTimeout(timer);
  }, [view.first, view.last, range.offset, range.limit]);

  useKeys(rows, total, chosen, setChosen, height, list);

  const isStreamShown = new Set([...rows.values()].map((row) => row.stream)).size > 1;
  const shown: preact.JSX.Element[] = [];
  for (let index = view.first; index < Math.min(view.last, total); index += 1) {
    const row = rows.get(index);
    shown.push(
      <Row
        key={row ? keyOf(row) : `row ${index}`}
        row={row ?? null}
        index={index}
        height={height}
        now={now}
        isChosen={index === chosen}
        isStreamShown={isStreamShown}
      />,
    );
  }
  return (
    <div class="fleet" role="table" aria-label="Workspaces" aria-rowcount={total + 1}>
      <div role="rowgroup">
        <div class="fleet-row fleet-head" role="row" aria-rowindex={1}>
          <span role="columnheader">Workspace</span>
          <span role="columnheader">State</span>
          <span role="columnheader" class="right">
            Rows here
          </span>
          <span role="columnheader">Last complete</span>
          <span role="columnheader" class="right">
            Took
          </span>
          <span role="columnheader">Last 30 runs</span>
          <span role="columnheader" class="right">
            <span class="hidden">What helps</span>
          </span>
        </div>
      </div>
      <div ref={list} class="fleet-list" role="rowgroup" style={{ height: `${total * height}px` }}>
        {shown}
      </div>
    </div>
  );
}

function useKeys(
  rows: Map<number, FleetRow>,
  total: number,
  chosen: number,
  setChosen: (index: number) => void,
  height: number,
  list: { current: HTMLDivElement | null },
) {
  const { project, announce } = useWorld();
  // Keys may follow each other before the page is drawn again.
  const current = useRef(chosen);
  current.current = chosen;
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (event.metaKey || event.ctrlKey || event.altKey || target.closest("input, textarea, select, dialog")) return;
      const row = rows.get(current.current);
      const step = event.key === "j" ? 1 : event.key === "k" ? -1 : 0;
      if (step !== 0) {
        const next = Math.max(0, Math.min(total - 1, current.current + step));
        current.current = next;
        setChosen(next);
        const top = (list.current?.getBoundingClientRect().top ?? 0) + next * height;
        if (top < 120) scrollBy(0, top - 120);
        else if (top + height > innerHeight - 20) scrollBy(0, top + height - innerHeight + 20);
      } else if (event.key === "Enter" && row && !target.closest("button, a")) {
        go(workspacePath(row.workspace_name));
      } else if (event.key === "s" && row) {
        syncWorkspace(project, row.workspace_name).then(announce, (error: Error) => announce(error.message));
      } else return;
      event.preventDefault();
    };
    window.addEventListener("keydown", press);
    return () => window.removeEventListener("keydown", press);
  }, [rows, total, height]);
}

function Row({
  row,
  index,
  height,
  now,
  isChosen,
  isStreamShown,
}: {
  row: FleetRow | null;
  index: number;
  height: number;
  now: number;
  isChosen: boolean;
  isStreamShown: boolean;
}) {
  const style = { transform: `translateY(${index * height}px)`, height: `${height}px` };
  if (!row) {
    return (
      <div class="fleet-row" role="row" aria-rowindex={index + 2} style={style} aria-busy="true">
        <span role="cell" class="muted">
          …
        </span>
      </div>
    );
  }
  return (
    <div
      class={`fleet-row${isChosen ? " chosen" : ""}`}
      role="row"
      aria-rowindex={index + 2}
      aria-selected={isChosen}
      style={style}
      data-workspace={row.workspace_name}
      data-state={row.state}
    >
      <span role="cell" class="cell-name">
        <a href={workspacePath(row.workspace_name)}>
          <Name>{row.workspace_name}</Name>
        </a>
        {isStreamShown && <span class="muted"> {row.stream}</span>}
      </span>
      <span role="cell" class="cell-state">
        <State tone={row.tone}>{stateWords(row, now)}</State>
        {row.reason && (
          <span class="reason" title={[row.reason, row.remedy].filter(Boolean).join("; ")}>
            <bdi>{row.reason}</bdi>
          </span>
        )}
      </span>
      <span role="cell" class="cell-rows number right">
        {row.rows_here === null ? "–" : count(row.rows_here)}
        <span class="muted">{row.is_counted && ` of ${row.api_total === null ? "?" : count(row.api_total)}`}</span>
      </span>
      <span role="cell" class="cell-last">
        <Ago at={row.last_complete_sync_at} now={now} />
      </span>
      <span role="cell" class="cell-took number right">
        {duration(row.last_sync_duration_ms)}
      </span>
      <span role="cell" class="cell-runs">
        <Sparkline runs={row.runs} />
      </span>
      <span role="cell" class="cell-act right">
        <Help row={row} />
      </span>
    </div>
  );
}

function stateWords(row: FleetRow, now: number): string {
  if (row.state === "syncing") {
    if (row.percentage === null) return "Syncing · first page";
    const pages = row.pages_planned ? ` · ${count(row.pages_done ?? 0)} of ${counted(row.pages_planned, "page")}` : "";
    return `Syncing ${Math.floor(row.percentage)} %${pages}`;
  }
  const wait = row.waits_until ? ` · ${span(Date.parse(row.waits_until) - now)} left` : "";
  const age = row.is_stale && row.last_complete_sync_at ? span(now - Date.parse(row.last_complete_sync_at)) : "";
  if (row.state === "stale") return age ? `Stale ${age}` : "Stale";
  return sentence(row.state) + wait + (age ? ` · stale ${age}` : "");
}

function Help({ row }: { row: FleetRow }) {
  const { project } = useWorld();
  const name = row.workspace_name;
  if (row.live_job_id && row.state === "syncing") {
    return (
      <a class="button" href={jobPath(row.live_job_id)} aria-label={`Watch ${name}`}>
        Watch
      </a>
    );
  }
  switch (row.act) {
    case "command":
      return (
        <a class="button" href={workspacePath(name)} aria-label={`What helps ${name}`}>
          What helps
        </a>
      );
    case "retry":
      return row.retry_job_id ? (
        <Press act={() => retry(project, row.retry_job_id ?? "")} label={`Retry ${name}`}>
          Retry
        </Press>
      ) : null;
    case "resume":
      return (
        <Press act={() => resumeWorkspace(project, name)} label={`Resume ${name}`}>
          Resume
        </Press>
      );
    case "approve":
      return row.held_run_id ? <Approve name={name} runId={row.held_run_id} waiting={row.deletions_waiting} /> : null;
    case "sync":
      return (
        <Press act={() => syncWorkspace(project, name, row.stream)} label={`Sync ${name}`}>
          Sync
        </Press>
      );
    default:
      return null;
  }
}
