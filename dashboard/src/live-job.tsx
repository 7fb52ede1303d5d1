import { useMemo, useRef } from "preact/hooks";
import { cancel } from "./acts";
import { Chart } from "./charts";
import { jobPath } from "./router";
import { useWorld } from "./screen";
import { count, counted, span } from "./time";
import type { Budget, JobSummary } from "./types";
import { Bar, Fact, Fold, Name, State } from "./ui";

interface Point {
  at: number;
  completed: number;
}

const RATE_WINDOW_MS = 15_000;

const MOST_POINTS = 600;

/** Pages per second as seen from here: the database keeps counts, not speeds. */
function useRate(job: JobSummary): { rate: number | null; points: Point[] } {
  const kept = useRef<{ job: JobSummary | null; points: Point[] }>({ job: null, points: [] });
  if (kept.current.job !== job) {
    const before = kept.current.job?.job_id === job.job_id ? kept.current.points : [];
    const points = [...before, { at: Date.now(), completed: job.completed }].slice(-MOST_POINTS);
    kept.current = { job, points };
  }
  const { points } = kept.current;
  const last = points.at(-1);
  const first = points.find((point) => last && last.at - point.at <= RATE_WINDOW_MS);
  const ms = last && first ? last.at - first.at : 0;
  const rate =
    last && first && ms >= 1_000 ? ((last.completed - first.completed) * 1_000) / ms : null;
  return { rate, points };
}

function rates(points: Point[]): { times: number[]; values: number[] } {
  const times: number[] = [];
  const values: number[] = [];
  for (let index = 1; index < points.length; index += 1) {
    const [before, point] = [points[index - 1], points[index]];
    if (!before || !point || point.at - before.at < 250) continue;
    times.push(point.at / 1_000);
    values.push(((point.completed - before.completed) * 1_000) / (point.at - before.at));
  }
  return { times, values };
}

export function LiveJob({
  job,
  now,
  isLinked = false,
  workers,
  oldest,
}: {
  job: JobSummary;
  now: number;
  isLinked?: boolean;
  workers: number;
  oldest?: string | null;
}) {
  const { project, confirm } = useWorld();
  const { rate, points } = useRate(job);
  const left = job.pending + job.processing;
  const limit = job.budgets.reduce<number | null>(
    (sum, budget) =>
      sum === null || limitOf(budget) === null ? null : sum + (limitOf(budget) ?? 0),
    job.budgets.length ? 0 : null,
  );
  const speed = useMemo(
    () => ({ label: "Pages fetched a second", unit: "pages/s", ...rates(points), limit }),
    [points, limit],
  );
  return (
    <section class="live-job" aria-label={`Job ${job.job_name}`}>
      <header>
        <State tone="working">
          {isLinked ? (
            <a href={jobPath(job.job_id)}>
              <Name>{job.job_name}</Name>
            </a>
          ) : (
            <Name>{job.job_name}</Name>
          )}
        </State>
        <span class="muted">
          running for {span(now - Date.parse(job.started_at))}
          {job.cancel_requested_at && ", being cancelled"}
        </span>
        <button
          type="button"
          class="push"
          disabled={job.cancel_requested_at !== null}
          onClick={() => confirm(cancel(project, job.job_id, job.job_name, job.processing))}
        >
          Cancel…
        </button>
      </header>
      <div class="live-progress">
        <strong class="number big" data-test="percentage">
          {job.percentage === null ? "counting" : `${Math.floor(job.percentage)} %`}
        </strong>
        <Bar value={job.percentage} label={`Progress of ${job.job_name}`} />
      </div>
      <dl class="facts">
        <Fact label="Pages">
          <span class="number" data-test="pages">
            {count(job.completed)} of {count(job.planned)}
          </span>
        </Fact>
        <Fact label="In flight">
          <span class="number">{count(job.processing)}</span>
        </Fact>
        <Fact label="Pages/s">
          <span class="number">{rate === null ? "measuring" : rate.toFixed(1)}</span>
        </Fact>
        <Fact label="Time left">
          <span class="number">
            {rate && rate > 0 ? `about ${span((left / rate) * 1_000)}` : "–"}
          </span>
        </Fact>
        <Fact label="Workspaces">
          <span class="number">
            {count(job.workspaces_processed)} of {count(job.total_workspaces)}
          </span>
        </Fact>
        <Fact label="Records">
          <span class="number">{count(job.records)}</span>
        </Fact>
        <Fact label="Workers">
          <span class="number">{count(workers)}</span>
        </Fact>
        {oldest && (
          <Fact label="Oldest ready page">
            <span class="number">{span(now - Date.parse(oldest))}</span>
          </Fact>
        )}
      </dl>
      {job.waits.length > 0 && (
        <ul class="waits" aria-label="What holds it up">
          {job.waits.map((wait) => (
            <li key={wait.message}>
              <State tone={wait.why === "no_worker" || wait.why === "no_key" ? "wrong" : "waiting"}>
                {counted(wait.runs, "workspace")} {wait.runs === 1 ? "waits" : "wait"}
                {wait.waits_until && `, ${span(Date.parse(wait.waits_until) - now)} left`}
              </State>
              <Fold text={wait.message} />
              <span class="muted">
                {wait.workspaces.join(", ")}
                {wait.runs > wait.workspaces.length && ", …"}
              </span>
            </li>
          ))}
        </ul>
      )}
      <BudgetLines budgets={job.budgets} now={now} />
      {speed.times.length > 3 && <Chart series={speed} height={120} />}
    </section>
  );
}

const limitOf = (budget: Budget): number | null =>
  budget.learned_rate ?? budget.requests_per_second;

function inFlight(budget: Budget): string {
  const most = budget.reduced_in_flight ?? budget.max_in_flight;
  return most === null ? count(budget.in_flight) : `${count(budget.in_flight)} of ${count(most)}`;
}

function BudgetLines({ budgets, now }: { budgets: Budget[]; now: number }) {
  if (budgets.length === 0) return null;
  return (
    <ul class="budgets" aria-label="Budgets in use">
      {budgets.slice(0, 5).map((budget) => (
        <li key={budget.scope_key}>
          <Name>{budget.scope_key}</Name> <span class="number">{inFlight(budget)} in flight</span>
          <span class="muted">
            {limitOf(budget) === null
              ? "no limit of requests/s"
              : `at most ${counted(limitOf(budget) ?? 0, "request")}/s`}
          </span>
          {budget.blocked_until && (
            <State tone="waiting">
              Blocked, {span(Date.parse(budget.blocked_until) - now)} left
            </State>
          )}
        </li>
      ))}
      {budgets.length > 5 && <li class="muted">and {count(budgets.length - 5)} more</li>}
    </ul>
  );
}
