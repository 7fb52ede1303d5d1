import { useEffect, useRef, useState } from "preact/hooks";
import { Press, pauseAll, resumeAll, syncAll } from "./acts";
import { BLOCK, type Range, Rows } from "./fleet-rows";
import { jobPath, MOVED, query, SEARCH, searching, setQuery } from "./router";
import { useScreen, useWorld } from "./screen";
import { count, counted } from "./time";
import type { Fleet, FleetRow } from "./types";
import { Bar, Copy, Empty, Failure, Name, State, sentence } from "./ui";

const START: Range = { offset: 0, limit: 2 * BLOCK };
const TYPING_MS = 200;

export function FleetScreen() {
  const { project, confirm } = useWorld();
  // What is asked for stands in the address, so that it can be shared and come back to.
  const [asked, setAsked] = useState(() => query("q", "state"));
  const [typed, setTyped] = useState(asked.q);
  const [range, setRange] = useState(START);
  const known = useRef(new Map<number, FleetRow>());
  const searchBox = useRef<HTMLInputElement>(null);
  const { q: search, state: only } = asked;

  const choose = (next: { q: string; state: string }) => {
    known.current = new Map();
    setAsked(next);
    setRange(START);
    setQuery(next);
  };
  const chooseNow = useRef(choose);
  chooseNow.current = choose;
  useEffect(() => {
    const follow = () => {
      if (location.pathname !== "/") return;
      const next = query("q", "state");
      setTyped(next.q);
      chooseNow.current(next);
    };
    window.addEventListener(MOVED, follow);
    return () => window.removeEventListener(MOVED, follow);
  }, []);
  useEffect(() => {
    const text = typed.trim();
    if (text === search) return;
    const timer = setTimeout(() => chooseNow.current({ q: text, state: only }), TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed, search, only]);

  const ask = async (): Promise<Fleet> => {
    const rows = known.current;
    const fleet = await project.ask<Fleet>("get_fleet", {
      p_search: search || null,
      p_states: only ? [only] : null,
      p_limit: range.limit,
      p_offset: range.offset,
    });
    for (const [index, row] of fleet.rows.entries()) rows.set(range.offset + index, row);
    for (const index of rows.keys()) if (index >= fleet.matching) rows.delete(index);
    return fleet;
  };
  const part = JSON.stringify([search, only, range]);
  const { answer, error, now } = useScreen<Fleet>("fleet", ask, part);

  const isThere = answer !== null;
  useEffect(() => {
    if (!isThere) return;
    const find = () => {
      if (!searching.isWanted) return;
      searching.isWanted = false;
      searchBox.current?.focus();
    };
    find();
    window.addEventListener(SEARCH, find);
    return () => window.removeEventListener(SEARCH, find);
  }, [isThere]);

  if (!answer) return error ? <Failure error={error} /> : <div class="loading" aria-busy="true" />;
  if (answer.total === 0) return <NoWorkspace />;
  const all = counted(answer.total, "row");
  return (
    <>
      <Summary
        fleet={answer}
        only={only}
        setOnly={(state) => choose({ q: typed.trim(), state })}
        acts={
          <>
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
          </>
        }
      />
      {answer.jobs.map((job) => (
        <a class="running" key={job.job_id} href={jobPath(job.job_id)}>
          <State tone="working">
            <Name>{job.job_name}</Name>
          </State>
          <Bar value={job.percentage} label={`Progress of ${job.job_name}`} />
          <span class="number">
            {job.percentage === null ? "counting" : `${Math.floor(job.percentage)} %`}
          </span>
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
          <button
            type="button"
            class="chip"
            aria-label={`Show all, not only ${only}`}
            onClick={() => choose({ q: typed.trim(), state: "" })}
          >
            {sentence(only)} ✕
          </button>
        )}
        <span class="muted" data-test="matching">
          {answer.matching === answer.total ? all : `${count(answer.matching)} of ${all}`}, worst
          first
        </span>
      </div>
      {answer.matching === 0 ? (
        <Empty title="Nothing like that">
          <p>
            {search
              ? `No name, state or reason has “${search}”${only ? ` among what is ${only}` : ""}.`
              : `Nothing is ${only}.`}
          </p>
          <p>
            <button
              type="button"
              onClick={() => {
                setTyped("");
                choose({ q: "", state: "" });
              }}
            >
              Show all
            </button>
          </p>
        </Empty>
      ) : (
        <Rows
          rows={known.current}
          total={answer.matching}
          now={now}
          range={range}
          setRange={setRange}
        />
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
      <p>
        It asks for the key, puts it into Vault, and says whose it is. Then, if no worker runs yet:
      </p>
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
  acts,
}: {
  fleet: Fleet;
  only: string;
  setOnly: (state: string) => void;
  acts: preact.ComponentChildren;
}) {
  const shares = fleet.states.toReversed();
  const said = fleet.states.map(({ state, count: rows }) => `${state}: ${count(rows)}`).join(", ");
  return (
    <section class="summary" aria-label="Summary">
      <div class="summary-line">
        <h1>
          {count(fleet.fresh)} of {count(fleet.total)} fresh
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
                onClick={() => setOnly(only === state ? "" : state)}
              >
                <State tone={tone}>
                  {sentence(state)} <b class="number">{count(rows)}</b>
                </State>
              </button>
            ))}
        </div>
        <span class="summary-records">
          <b class="number">{count(fleet.records ?? 0)}</b>{" "}
          <span class="muted">
            of {fleet.api_total === null ? "?" : counted(fleet.api_total, "record")}
          </span>
        </span>
        <div class="summary-acts">{acts}</div>
      </div>
      <p class="hidden" role="status">
        {count(fleet.fresh)} of {count(fleet.total)} fresh; {said}
      </p>
      <svg
        class="fleet-bar"
        viewBox={`0 0 ${fleet.total} 1`}
        preserveAspectRatio="none"
        role="img"
        aria-label={said}
      >
        {shares.map(({ state, tone, count: rows }, index) => (
          <rect
            key={state}
            class={`fill-${tone}`}
            x={shares.slice(0, index).reduce((sum, share) => sum + share.count, 0)}
            width={rows}
            height="1"
          />
        ))}
      </svg>
    </section>
  );
}
