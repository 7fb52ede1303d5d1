import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Approve, Press, refused, resumeWorkspace, retry, syncWorkspace } from "./acts";
import { Sparkline } from "./charts";
import type { AskError } from "./project";
import { go, jobPath, workspacePath } from "./router";
import { useWorld } from "./screen";
import { count, counted, duration, span } from "./time";
import type { FleetRow } from "./types";
import { Ago, Name, State, sentence } from "./ui";

/** Rows are asked for in blocks of so many. */
export const BLOCK = 50;
const AROUND = 10;
const WIDE = matchMedia("(min-width: 900px)");
const ROW_PX = { wide: 34, phone: 112 };

export interface Range {
  offset: number;
  limit: number;
}

const keyOf = (row: FleetRow) => `${row.workspace_name} ${row.stream}`;

/** As many rows as are in sight, of however many there are. */
export function Rows({
  rows,
  total,
  now,
  range,
  setRange,
}: {
  rows: Map<number, FleetRow>;
  total: number;
  now: number;
  range: Range;
  setRange: (range: Range) => void;
}) {
  const list = useRef<HTMLDivElement>(null);
  const [isWide, setIsWide] = useState(WIDE.matches);
  const [view, setView] = useState({ first: 0, last: 40 });
  // By its key: rows move while they are looked at.
  const [chosen, setChosen] = useState<string | null>(null);
  const height = isWide ? ROW_PX.wide : ROW_PX.phone;

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
      setView((before) =>
        before.first === first && before.last === last ? before : { first, last },
      );
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
    if (
      offset >= range.offset &&
      offset + limit <= range.offset + range.limit &&
      range.limit <= 3 * BLOCK
    )
      return;
    const timer = setTimeout(() => setRange({ offset, limit }), 80);
    return () => clearTimeout(timer);
  }, [view.first, view.last, range.offset, range.limit, setRange]);

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
        isChosen={row !== undefined && keyOf(row) === chosen}
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
  chosen: string | null,
  setChosen: (key: string) => void,
  height: number,
  list: { current: HTMLDivElement | null },
) {
  const { project, announce, confirm } = useWorld();
  // Keys may follow each other before the page is drawn again.
  const current = useRef(chosen);
  current.current = chosen;
  const press = useRef<(event: KeyboardEvent) => void>(() => undefined);
  press.current = (event) => {
    const target = event.target as HTMLElement;
    if (event.metaKey || event.ctrlKey || event.altKey) return;
    if (target.closest("input, textarea, select, dialog")) return;
    const [index, row] = [...rows].find(([, known]) => keyOf(known) === current.current) ?? [-1];
    const step = event.key === "j" ? 1 : event.key === "k" ? -1 : 0;
    if (step !== 0) {
      const at = Math.max(0, Math.min(total - 1, index + step));
      const next = rows.get(at);
      if (!next) return;
      current.current = keyOf(next);
      setChosen(current.current);
      const top = (list.current?.getBoundingClientRect().top ?? 0) + at * height;
      if (top < 120) scrollBy(0, top - 120);
      else if (top + height > innerHeight - 20) scrollBy(0, top + height - innerHeight + 20);
    } else if (event.key === "Enter" && row && !target.closest("button, a")) {
      go(workspacePath(row.workspace_name));
    } else if (event.key === "s" && row) {
      const act = () => syncWorkspace(project, row.workspace_name, row.stream);
      act().then(announce, (error: AskError) => confirm(refused(error, act)));
    } else return;
    event.preventDefault();
  };
  useEffect(() => {
    const hear = (event: KeyboardEvent) => press.current(event);
    window.addEventListener("keydown", hear);
    return () => window.removeEventListener("keydown", hear);
  }, []);
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
        <span class="muted">
          {row.is_counted && ` of ${row.api_total === null ? "?" : count(row.api_total)}`}
          <span class="on-phone"> rows</span>
        </span>
      </span>
      <span role="cell" class="cell-last">
        <span class="on-phone muted">complete </span>
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
    const pages = row.pages_planned
      ? ` · ${count(row.pages_done ?? 0)} of ${counted(row.pages_planned, "page")}`
      : "";
    return `Syncing ${Math.floor(row.percentage)} %${pages}`;
  }
  const wait = row.waits_until ? ` · ${span(Date.parse(row.waits_until) - now)} left` : "";
  const age =
    row.is_stale && row.last_complete_sync_at
      ? span(now - Date.parse(row.last_complete_sync_at))
      : "";
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
      return row.held_run_id ? (
        <Approve name={name} runId={row.held_run_id} waiting={row.deletions_waiting} />
      ) : null;
    case "sync":
      return (
        <Press
          class={row.tone === "fresh" ? "quiet" : ""}
          act={() => syncWorkspace(project, name, row.stream)}
          label={`Sync ${name}`}
        >
          Sync
        </Press>
      );
    default:
      return null;
  }
}
