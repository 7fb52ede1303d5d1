import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Press, cancel, retry } from "./acts";
import { Chart } from "./charts";
import type { AskError } from "./project";
import { jobPath, workspacePath } from "./router";
import { useScreen, useWorld } from "./screen";
import { absolute, count, counted, duration, span } from "./time";
import type { Budget, FailedChunk, Job, JobRow, JobRun, JobSummary, Jobs } from "./types";
import { Ago, Bar, Copy, Empty, Fact, Failure, Fold, Name, State, Status } from "./ui";

export function JobsScreen() {
  const { project } = useWorld();
  const { answer, error, now } = useScreen<Jobs>("jobs", () => project.ask("get_jobs_page"));
  const [older, setOlder] = useState<{ jobs: JobRow[]; hasMore: boolean } | null>(null);
  const [refusal, setRefusal] = useState<AskError | null>(null);

  if (!answer) return error ? <Failure error={error} /> : <div class="loading" aria-busy="true" />;
  const newest = answer.jobs;
  const seen = new Set(newest.map((job) => job.job_id));
  const jobs = [...newest, ...(older?.jobs ?? []).filter((job) => !seen.has(job.job_id))];
  const hasMore = older ? older.hasMore : answer.has_more;
  const more = async () => {
    try {
      const next = await project.ask<Jobs>("get_jobs_page", { p_before: jobs.at(-1)?.started_at ?? null });
      setOlder({ jobs: [...(older?.jobs ?? newest), ...next.jobs], hasMore: next.has_more });
    } catch (failure) {
      setRefusal(failure as AskError);
    }
  };
  return (
    <>
      <h1 class="hidden">Jobs</h1>
      {answer.live.map((job) => (
        <LiveJob key={job.job_id} job={job} now={now} isLinked workers={answer.workers_alive} oldest={answer.oldest_ready_at} />
      ))}
      {answer.live.length === 0 && (
        <p class="calm">
          Nothing runs now. {counted(answer.workers_alive, "worker")} {answer.workers_alive === 1 ? "is" : "are"}{" "}
          ready{answer.workers_alive === 0 && <>: <Copy text="chunkwise worker" /></>}.
        </p>
      )}
      {jobs.length === 0 ? (
        answer.live.length === 0 && (
          <Empty title="No job yet">
            <p>pg_cron starts a sync by schedule; Fleet starts one now.</p>
          </Empty>
        )
      ) : (
        <table class="list">
          <caption>Before</caption>
          <thead>
            <tr>
              <th>Job</th>
              <th>Outcome</th>
              <th>Started</th>
              <th class="right">Took</th>
              <th class="right">Workspaces</th>
              <th class="right">Records</th>
              <th>What went wrong</th>
              <th />
            </tr>
          </thead>
          <tbody>
            {jobs.map((job) => (
              <tr key={job.job_id}>
                <td>
                  <a href={jobPath(job.job_id)}>
                    <Name>{job.job_name}</Name>
                  </a>
                </td>
                <td>
                  <Status status={job.status} />
                </td>
                <td>
                  <Ago at={job.started_at} now={now} />
                </td>
                <td class="number right">{duration(job.duration_ms)}</td>
                <td class="number right">
                  {count(job.workspaces_processed)} of {count(job.total_workspaces)}
                </td>
                <td class="number right">{count(job.records)}</td>
                <td class="reason">{job.message && <bdi title={job.message}>{job.message}</bdi>}</td>
                <td class="right">
                  {(job.status === "failed" || job.status === "partial") && (
                    <Press act={() => retry(project, job.job_id)} label={`Retry ${job.job_name}`}>
                      Retry
                    </Press>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {refusal && <Failure error={refusal} />}
      {hasMore && (
        <p>
          <button type="button" onClick={more}>
            Older jobs
          </button>
        </p>
      )}
    </>
  );
}

interface Point {
  at: number;
  completed: number;
}

const RATE_WINDOW_MS = 15_000;

/** Pages per second as seen from here: the database keeps counts, not speeds. */
function useRate(job: JobSummary): { rate: number | null; points: Point[] } {
  const points = useRef<{ id: string; seen: Point[] }>({ id: "", seen: [] });
  return useMemo(() => {
    if (points.current.id !== job.job_id) points.current = { id: job.job_id, seen: [] };
    const seen = points.current.seen;
    seen.push({ at: Date.now(), completed: job.completed });
    if (seen.length > 600) seen.shift();
    const last = seen.at(-1);
    const first = seen.find((point) => last && last.at - point.at <= RATE_WINDOW_MS);
    const ms = last && first ? last.at - first.at : 0;
    const rate = last && first && ms >= 1_000 ? ((last.completed - first.completed) * 1_000) / ms : null;
    return { rate, points: seen };
  }, [job]);
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
    (sum, budget) => (sum === null || limitOf(budget) === null ? null : sum + (limitOf(budget) ?? 0)),
    job.budgets.length ? 0 : null,
  );
  const speed = useMemo(() => ({ label: "Pages fetched a second", unit: "pages/s", ...rates(points), limit }), [job, limit]);
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
          <span class="number">{rate && rate > 0 ? `about ${span((left / rate) * 1_000)}` : "–"}</span>
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

const limitOf = (budget: Budget): number | null => budget.learned_rate ?? budget.requests_per_second;

function BudgetLines({ budgets, now }: { budgets: Budget[]; now: number }) {
  if (budgets.length === 0) return null;
  return (
    <ul class="budgets" aria-label="Budgets in use">
      {budgets.slice(0, 5).map((budget) => (
        <li key={budget.scope_key}>
          <Name>{budget.scope_key}</Name>{" "}
          <span class="number">
            {count(budget.in_flight)} of {budget.max_in_flight === null ? "any number" : count(budget.reduced_in_flight ?? budget.max_in_flight)} in flight
          </span>
          <span class="muted">
            {limitOf(budget) === null ? "no limit a second" : `at most ${limitOf(budget)} requests/s`}
          </span>
          {budget.blocked_until && (
            <State tone="waiting">Blocked, {span(Date.parse(budget.blocked_until) - now)} left</State>
          )}
        </li>
      ))}
      {budgets.length > 5 && <li class="muted">and {count(budgets.length - 5)} more</li>}
    </ul>
  );
}

export function JobScreen({ id }: { id: string }) {
  const { project } = useWorld();
  const [limit, setLimit] = useState(100);
  const { answer, error, now, refresh } = useScreen<Job>(`job ${id}`, () =>
    project.ask("get_job_page", { p_job_id: id, p_limit: limit }),
  );
  useEffect(refresh, [limit]);

  if (!answer) return error ? <Failure error={error} /> : <div class="loading" aria-busy="true" />;
  const job = answer;
  const isStreamShown = new Set(job.runs.map((run) => run.stream)).size > 1;
  return (
    <>
      <header class="title">
        <h1>
          <Name>{job.job_name}</Name>
        </h1>
        <Status status={job.status} />
        <span class="muted">started {absolute(job.started_at)}</span>
        <Copy text={job.job_id} label={job.job_id.slice(0, 8)} />
        {job.status !== "running" && job.status !== "completed" && (
          <span class="push">
            {job.retry_obstacle === null ? (
              <Press class="primary" act={() => retry(project, job.job_id)}>
                Retry what did not complete
              </Press>
            ) : (
              <span class="muted">{job.retry_obstacle}</span>
            )}
          </span>
        )}
      </header>
      {job.status === "running" ? (
        <LiveJob job={job} now={now} workers={job.workers_alive} />
      ) : (
        <dl class="facts">
          <Fact label="Took">{duration(job.duration_ms)}</Fact>
          <Fact label="Workspaces">
            {count(job.workspaces_processed)} of {count(job.total_workspaces)}
          </Fact>
          <Fact label="Records">{count(job.records)}</Fact>
          <Fact label="Pages">{count(job.completed)}</Fact>
          {job.failed > 0 && <Fact label="Failed pages">{count(job.failed)}</Fact>}
          {job.cancelled > 0 && <Fact label="Cancelled pages">{count(job.cancelled)}</Fact>}
        </dl>
      )}
      {job.error_message && (
        <div class="notice">
          <State tone="wrong">
            <Fold text={job.error_message} />
          </State>
        </div>
      )}
      {job.warnings.length > 0 && <Warnings warnings={job.warnings} />}
      <FailedChunks chunks={job.failed_chunks} now={now} />
      <table class="list">
        <caption>
          {counted(job.run_count, "run")}
          <span class="muted">
            {Object.entries(job.run_states).map(([status, runs]) => ` · ${count(runs)} ${status}`)}
          </span>
        </caption>
        <thead>
          <tr>
            <th>Workspace</th>
            <th>Outcome</th>
            <th class="right">Pages</th>
            <th class="right">Records</th>
            <th class="right">Changed</th>
            <th class="right">Deleted</th>
            <th class="right">Took</th>
            <th>What it found</th>
          </tr>
        </thead>
        <tbody>
          {job.runs.map((run) => (
            <RunRow key={run.run_id} run={run} isStreamShown={isStreamShown} />
          ))}
        </tbody>
      </table>
      {job.runs.length < job.run_count && limit < 500 && (
        <p>
          <button type="button" onClick={() => setLimit(500)}>
            Show more of {counted(job.run_count, "run")}
          </button>
        </p>
      )}
      {job.retry_of_job_id && (
        <p class="muted">
          Repeats what <a href={jobPath(job.retry_of_job_id)}>job {job.retry_of_job_id.slice(0, 8)}</a> left.
        </p>
      )}
    </>
  );
}

function RunRow({ run, isStreamShown }: { run: JobRun; isStreamShown: boolean }) {
  const found = run.error_message ?? run.warnings.join("; ");
  return (
    <tr>
      <td>
        <a href={workspacePath(run.workspace_name)}>
          <Name>{run.workspace_name}</Name>
        </a>
        {isStreamShown && <span class="muted"> {run.stream}</span>}
      </td>
      <td>
        {run.status === "running" ? (
          <State tone="working">Running{run.percentage === null ? "" : ` ${Math.floor(run.percentage)} %`}</State>
        ) : (
          <Status status={run.status} />
        )}
      </td>
      <td class="number right">
        {count(run.completed)} of {count(run.planned)}
      </td>
      <td class="number right">
        {count(run.records)}
        <span class="muted">{run.expected_total !== null && ` of ${count(run.expected_total)}`}</span>
      </td>
      <td class="number right">{count(run.changed)}</td>
      <td class="number right">{count(run.deleted)}</td>
      <td class="number right">{duration(run.duration_ms)}</td>
      <td>{found && <Fold text={found} />}</td>
    </tr>
  );
}

export function Warnings({ warnings }: { warnings: string[] }) {
  return (
    <details class="warnings">
      <summary>{counted(warnings.length, "warning")}</summary>
      <ul>
        {warnings.map((warning) => (
          <li key={warning}>
            <Fold text={warning} />
          </li>
        ))}
      </ul>
    </details>
  );
}

export function FailedChunks({ chunks, now }: { chunks: FailedChunk[]; now: number }) {
  if (chunks.length === 0) return null;
  return (
    <table class="list">
      <caption>Pages that failed{chunks.length >= 50 && ", the newest 50"}</caption>
      <thead>
        <tr>
          <th>What</th>
          <th>When</th>
          <th class="right">Tries</th>
          <th>Why</th>
        </tr>
      </thead>
      <tbody>
        {chunks.map((chunk) => (
          <tr key={chunk.id}>
            <td>
              {chunk.workspace_name && (
                <a href={workspacePath(chunk.workspace_name)}>
                  <Name>{chunk.workspace_name}</Name>
                </a>
              )}{" "}
              {chunk.kind} {chunk.page ?? chunk.record_id ?? ""}
            </td>
            <td>
              <Ago at={chunk.failed_at} now={now} />
            </td>
            <td class="number right">{chunk.attempts}</td>
            <td>
              <Fold text={chunk.error_message ?? "no reason was kept"} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

