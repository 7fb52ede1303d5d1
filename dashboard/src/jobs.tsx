import { useState } from "preact/hooks";
import { Press, retry } from "./acts";
import { LiveJob } from "./live-job";
import type { AskError } from "./project";
import { jobPath } from "./router";
import { useScreen, useWorld } from "./screen";
import { count, counted, duration, zoneLabel } from "./time";
import type { JobRow, Jobs } from "./types";
import { Ago, At, Copy, Empty, Failure, Name, Status } from "./ui";

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
      const next = await project.ask<Jobs>("get_jobs_page", {
        p_before: jobs.at(-1)?.started_at ?? null,
      });
      setOlder({ jobs: [...(older?.jobs ?? newest), ...next.jobs], hasMore: next.has_more });
    } catch (failure) {
      setRefusal(failure as AskError);
    }
  };
  return (
    <>
      <h1 class="hidden">Jobs</h1>
      {answer.live.map((job) => (
        <LiveJob
          key={job.job_id}
          job={job}
          now={now}
          isLinked
          workers={answer.workers_alive}
          oldest={answer.oldest_ready_at}
        />
      ))}
      {answer.live.length === 0 && (
        <p class="calm">
          Nothing runs now. {counted(answer.workers_alive, "worker")}{" "}
          {answer.workers_alive === 1 ? "is" : "are"} ready
          {answer.workers_alive === 0 && (
            <>
              : <Copy text="chunkwise worker" />
            </>
          )}
          .
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
          <caption>Ended</caption>
          <thead>
            <tr>
              <th class="named">Job</th>
              <th>Outcome</th>
              <th colSpan={2}>Started, {zoneLabel}</th>
              <th class="right">Took</th>
              <th class="right">Workspaces</th>
              <th class="right">Records</th>
              <th class="rest">What went wrong</th>
              <th>
                <span class="hidden">What helps</span>
              </th>
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
                  <At at={job.started_at} now={now} />
                </td>
                <td class="muted">
                  <Ago at={job.started_at} now={now} />
                </td>
                <td class="number right">{duration(job.duration_ms)}</td>
                <td class="number right">
                  {count(job.workspaces_processed)} of {count(job.total_workspaces)}
                </td>
                <td class="number right">{count(job.records)}</td>
                <td class="reason">
                  {job.message && <bdi title={job.message}>{job.message}</bdi>}
                </td>
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
