import { useState } from "preact/hooks";
import { approval, Press, retry, syncWorkspace } from "./acts";
import type { AskError } from "./project";
import { jobPath, workspacePath } from "./router";
import { useScreen, useWorld } from "./screen";
import { count, duration } from "./time";
import type { Alert, Alerts, Workspace } from "./types";
import { Ago, Copy, Failure, Fold, Name, State, sentence } from "./ui";

const words = (kind: string) => sentence(kind.replaceAll("_", " "));

export function AlertsScreen() {
  const { project } = useWorld();
  const { answer, error, now } = useScreen<Alerts>("alerts", () => project.ask("get_alerts_page"));
  const [older, setOlder] = useState<{ ended: Alerts["ended"]; hasMore: boolean } | null>(null);
  const [refusal, setRefusal] = useState<AskError | null>(null);
  if (!answer) return error ? <Failure error={error} /> : <div class="loading" aria-busy="true" />;
  const seen = new Set(answer.ended.map((alert) => alert.id));
  const ended = [...answer.ended, ...(older?.ended ?? []).filter((alert) => !seen.has(alert.id))];
  const more = async () => {
    try {
      const next = await project.ask<Alerts>("get_alerts_page", {
        p_before: ended.at(-1)?.id ?? null,
      });
      setOlder({
        ended: [...(older?.ended ?? answer.ended), ...next.ended],
        hasMore: next.has_more,
      });
    } catch (failure) {
      setRefusal(failure as AskError);
    }
  };
  return (
    <>
      <h1 class="hidden">Alerts</h1>
      {answer.open.length === 0 ? (
        <p class="calm">
          <State tone="fresh">Nothing is wrong</State>{" "}
          <span class="muted">
            as of the last check, <Ago at={answer.checked_at} now={now} />
          </span>
        </p>
      ) : (
        <ul class="alerts" aria-label="Open alerts">
          {answer.open.map((alert) => (
            <OpenAlert key={alert.id} alert={alert} now={now} />
          ))}
        </ul>
      )}
      {answer.alerts > answer.open.length && (
        <p class="muted">
          {count(answer.open.length)} of {count(answer.alerts)} open alerts are shown, the newest.
        </p>
      )}
      {ended.length > 0 && (
        <table class="list">
          <caption>Ended</caption>
          <thead>
            <tr>
              <th>What</th>
              <th>About</th>
              <th>Opened</th>
              <th>Lasted</th>
              <th class="rest">In words</th>
            </tr>
          </thead>
          <tbody>
            {ended.map((alert) => (
              <tr key={alert.id}>
                <td>{words(alert.kind)}</td>
                <td>
                  <Name>{alert.subject}</Name>
                </td>
                <td>
                  <Ago at={alert.opened_at} now={now} />
                </td>
                <td class="number">
                  {duration(Date.parse(alert.resolved_at) - Date.parse(alert.opened_at))}
                </td>
                <td>
                  <Fold text={alert.message} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {refusal && <Failure error={refusal} />}
      {(older ? older.hasMore : answer.has_more) && (
        <p>
          <button type="button" onClick={more}>
            Older alerts
          </button>
        </p>
      )}
    </>
  );
}

function OpenAlert({ alert, now }: { alert: Alert; now: number }) {
  return (
    <li class="alert">
      <div class="alert-head">
        <State tone={alert.act === "approve" ? "waiting" : "wrong"}>{words(alert.kind)}</State>
        {alert.workspace_name ? (
          <a href={workspacePath(alert.workspace_name)}>
            <Name>{alert.subject}</Name>
          </a>
        ) : (
          <Name>{alert.subject}</Name>
        )}
        <span class="muted">
          opened <Ago at={alert.opened_at} now={now} />
          {alert.repeats > 0 && (
            <>
              , last seen <Ago at={alert.last_seen_at} now={now} />
            </>
          )}
        </span>
        <span class="push">
          <Help alert={alert} />
        </span>
      </div>
      <Fold text={alert.message} />
    </li>
  );
}

function Help({ alert }: { alert: Alert }) {
  const { project, confirm } = useWorld();
  const name = alert.workspace_name;
  if (alert.act === "sync" && name) {
    return (
      <Press act={() => syncWorkspace(project, name)} label={`Sync ${name}`}>
        Sync
      </Press>
    );
  }
  if (alert.act === "retry" && alert.job_id) {
    return <Press act={() => retry(project, alert.job_id ?? "")}>Retry</Press>;
  }
  if (alert.act === "approve" && name) {
    return (
      <Press
        act={async () => {
          const found = await project.ask<Workspace>("get_workspace_page", {
            p_workspace_name: name,
          });
          const held = found.streams.find((stream) => stream.held_run_id !== null);
          if (held?.held_run_id) confirm(await approval(project, name, held.held_run_id));
          return held ? "" : "Nothing waits any more";
        }}
        label={`Review deletions of ${name}`}
      >
        Review…
      </Press>
    );
  }
  if (alert.job_id) {
    return (
      <a class="button" href={jobPath(alert.job_id)}>
        Look at the job
      </a>
    );
  }
  return alert.command ? <Copy text={alert.command} /> : null;
}
