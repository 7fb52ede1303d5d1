import { useState } from "preact/hooks";
import { Press, retry } from "./acts";
import { LiveJob } from "./live-job";
import { jobPath, workspacePath } from "./router";
import { useScreen, useWorld } from "./screen";
import { absolute, count, counted, duration } from "./time";
import type { FailedChunk, Job, JobRun } from "./types";
import { Ago, Copy, Fact, Failure, Fold, Name, State, Status } from "./ui";

export function JobScreen({ id }: { id: string }) {
  const { project } = useWorld();
  const [limit, setLimit] = useState(100);
  const { answer, error, now } = useScreen<Job>(
    `job ${id}`,
    () => project.ask("get_job_page", { p_job_id: id, p_limit: limit }),
    `${limit}`,
  );

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
            <th class="named">Workspace</th>
            <th>Outcome</th>
            <th class="right">Pages</th>
            <th class="right">Records</th>
            <th class="right">Changed</th>
            <th class="right">Deleted</th>
            <th class="right">Took</th>
            <th class="rest">What it found</th>
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
          Repeats what{" "}
          <a href={jobPath(job.retry_of_job_id)}>job {job.retry_of_job_id.slice(0, 8)}</a> left.
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
          <State tone="working">
            Running{run.percentage === null ? "" : ` ${Math.floor(run.percentage)} %`}
          </State>
        ) : (
          <Status status={run.status} />
        )}
      </td>
      <td class="number right">
        {count(run.completed)} of {count(run.planned)}
      </td>
      <td class="number right">
        {count(run.records)}
        <span class="muted">
          {run.expected_total !== null && ` of ${count(run.expected_total)}`}
        </span>
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
