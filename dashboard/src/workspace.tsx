import { useMemo } from "preact/hooks";
import {
  Approve,
  HeldTable,
  Press,
  pauseWorkspace,
  resumeWorkspace,
  retry,
  syncWorkspace,
} from "./acts";
import { Chart } from "./charts";
import { FailedChunks } from "./job";
import { jobPath } from "./router";
import { useScreen, useWorld } from "./screen";
import { count, counted, duration, span, zoneLabel } from "./time";
import type { PastRun, StreamDetail, Workspace } from "./types";
import { Ago, At, Copy, Fact, Failure, Fold, Name, State, Status, sentence, toneOf } from "./ui";

const KEY_TONES = {
  accepted: "fresh",
  unchecked: "waiting",
  refused: "wrong",
  other_workspace: "wrong",
  unreadable: "wrong",
} as const;

export function WorkspaceScreen({ name }: { name: string }) {
  const { project } = useWorld();
  const { answer, error, now } = useScreen<Workspace>(`workspace ${name}`, () =>
    project.ask("get_workspace_page", { p_workspace_name: name }),
  );
  if (!answer) return error ? <Failure error={error} /> : <div class="loading" aria-busy="true" />;
  const keyTone = KEY_TONES[answer.key_status as keyof typeof KEY_TONES] ?? "off";
  return (
    <>
      <header class="title">
        <h1>
          <Name>{answer.workspace_name}</Name>
        </h1>
        {!answer.is_active && <State tone="off">Inactive</State>}
        {answer.paused_at && <State tone="waiting">Paused</State>}
        <span class="push">
          {answer.paused_at ? (
            <Press act={() => resumeWorkspace(project, name)}>Resume</Press>
          ) : (
            <Press class="quiet" act={() => pauseWorkspace(project, name)}>
              Pause
            </Press>
          )}
          {answer.is_active && (
            <Press class="primary" act={() => syncWorkspace(project, name)}>
              Sync now
            </Press>
          )}
        </span>
      </header>
      {answer.streams.map((stream) => (
        <Stream
          key={stream.stream}
          workspace={answer}
          stream={stream}
          now={now}
          isOnly={answer.streams.length === 1}
        />
      ))}
      <FailedChunks chunks={answer.failed} now={now} />
      <section aria-label="Access">
        <h2>Access</h2>
        <dl class="facts">
          <Fact label="Key">
            <State tone={keyTone}>{sentence(answer.key_status.replaceAll("_", " "))}</State>
          </Fact>
          <Fact label="Its owner">
            {answer.key_owner ? (
              <Name>{answer.key_owner}</Name>
            ) : (
              <span class="muted">not asked yet</span>
            )}
          </Fact>
          {answer.external_id && (
            <Fact label="Id in the API">
              <Copy text={answer.external_id} />
            </Fact>
          )}
          <Fact label="Source">
            <Name>{answer.source_name}</Name>
          </Fact>
          <Fact label="Base URL">
            <Copy text={answer.base_url} />
          </Fact>
          <Fact label="Pages at a time">{answer.max_concurrency}</Fact>
          <Fact label="Registered">
            <Ago at={answer.created_at} now={now} />
          </Fact>
          {answer.rate_limited_until && (
            <Fact label="Rate limited">
              <State tone="waiting">{span(Date.parse(answer.rate_limited_until) - now)} left</State>
            </Fact>
          )}
        </dl>
      </section>
    </>
  );
}

function Stream({
  workspace,
  stream,
  now,
  isOnly,
}: {
  workspace: Workspace;
  stream: StreamDetail;
  now: number;
  isOnly: boolean;
}) {
  const { project } = useWorld();
  const name = workspace.workspace_name;
  const ended = useMemo(
    () => stream.history.filter((run) => run.completed_at !== null),
    [stream.history],
  );
  return (
    <section class="stream" aria-label={stream.stream}>
      {!isOnly && <h2>{stream.stream}</h2>}
      <div class={`verdict tone-${stream.tone}`}>
        <State tone={stream.tone}>
          {sentence(stream.state)}
          {stream.percentage !== null && ` ${Math.floor(stream.percentage)} %`}
        </State>
        {stream.reason && <Fold text={stream.reason} />}
        {stream.command ? (
          <Copy text={stream.command} />
        ) : (
          stream.remedy && <span class="muted">{sentence(stream.remedy)}.</span>
        )}
        {stream.act === "retry" && stream.retry_job_id && (
          <Press act={() => retry(project, stream.retry_job_id ?? "")}>Retry</Press>
        )}
        {stream.held_run_id && (
          <Approve name={name} runId={stream.held_run_id} waiting={stream.deletions_waiting} />
        )}
        {stream.live_job_id && (
          <a class="button" href={jobPath(stream.live_job_id)}>
            Watch
          </a>
        )}
      </div>
      <dl class="facts">
        <Fact label="Rows here">
          <strong class="number big">{count(stream.rows_here ?? 0)}</strong>
        </Fact>
        <Fact label="At the API">
          <strong class="number big">
            {stream.api_total === null ? "?" : count(stream.api_total)}
          </strong>
        </Fact>
        <Fact label="Last complete sync">
          <Ago at={stream.last_complete_sync_at} now={now} />
        </Fact>
        <Fact label="It took">{duration(stream.last_sync_duration_ms)}</Fact>
        {stream.unlisted_count > 0 && <Fact label="Unlisted">{count(stream.unlisted_count)}</Fact>}
      </dl>
      <History runs={ended} />
      {stream.held.length > 0 && (
        <section class="held" aria-label="Held deletions">
          <h3>
            {counted(stream.deletions_waiting, "record")} would be deleted
            {stream.deletions_waiting > stream.held.length && `, the first ${stream.held.length}`}
          </h3>
          <HeldTable records={stream.held} />
        </section>
      )}
      {stream.unlisted.length > 0 && (
        <details>
          <summary>
            {counted(stream.unlisted_count, "unlisted record")}: no page shows them, their own
            address answers
          </summary>
          <ul class="names">
            {stream.unlisted.map((record) => (
              <li key={record.id}>
                <Name>{record.name}</Name> <span class="muted">{record.id}</span>
              </li>
            ))}
          </ul>
        </details>
      )}
      {stream.history.length > 0 && <Runs runs={stream.history} now={now} />}
    </section>
  );
}

function History({ runs }: { runs: PastRun[] }) {
  const { took, rows } = useMemo(() => {
    const times = runs.map((run) => Date.parse(run.started_at) / 1_000);
    const bad = runs.flatMap((run, index) => (toneOf(run.status) === "wrong" ? [index] : []));
    const good = (value: (run: PastRun) => number) =>
      runs.map((run) => (run.status === "completed" ? value(run) : null));
    return {
      took: {
        label: "Duration per run",
        unit: "s",
        times,
        bad,
        values: good((run) => run.duration_ms / 1_000),
      },
      rows: {
        label: "Records per run",
        unit: "records",
        times,
        bad,
        values: good((run) => run.records),
      },
    };
  }, [runs]);
  if (runs.length === 0) return null;
  return (
    <div class="charts">
      <Chart series={took} />
      <Chart series={rows} />
    </div>
  );
}

function Runs({ runs, now }: { runs: PastRun[]; now: number }) {
  return (
    <table class="list">
      <caption>Runs{runs.length >= 60 && ", the last 60"}</caption>
      <thead>
        <tr>
          <th>Outcome</th>
          <th colSpan={2}>Started, {zoneLabel}</th>
          <th class="right">Took</th>
          <th class="right">Records</th>
          <th class="right">Changed</th>
          <th class="right">Deleted</th>
          <th class="right">Scans</th>
          <th class="rest">What it found</th>
        </tr>
      </thead>
      <tbody>
        {[...runs].reverse().map((run) => {
          const found = [run.error_message, ...run.warnings].filter(Boolean).join("; ");
          return (
            <tr key={run.run_id}>
              <td>
                <a href={jobPath(run.job_id)}>
                  <Status status={run.status} />
                </a>
              </td>
              <td>
                <At at={run.started_at} now={now} />
              </td>
              <td class="muted">
                <Ago at={run.started_at} now={now} />
              </td>
              <td class="number right">{duration(run.duration_ms)}</td>
              <td class="number right">
                {count(run.records)}
                <span class="muted">
                  {run.expected_total !== null && ` of ${count(run.expected_total)}`}
                </span>
              </td>
              <td class="number right">{count(run.changed)}</td>
              <td class="number right">{count(run.deleted)}</td>
              <td class="number right">{run.scans}</td>
              <td>{found && <Fold text={found} />}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
