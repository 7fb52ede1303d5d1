import { useState } from "preact/hooks";
import type { AskError, Project } from "./project";
import { go, jobPath } from "./router";
import { type Question, useWorld } from "./screen";
import { count, counted, short, zoneLabel } from "./time";
import type { Held, HeldRecord } from "./types";
import { Copy, Failure, Name } from "./ui";

interface Started {
  job_id: string;
  status: string;
  message: string;
}

async function start(
  project: Project,
  name: string,
  workspaces: string[] | null,
  streams: string[] | null,
) {
  const args: Record<string, unknown> = { p_job_name: name };
  if (workspaces) args.p_workspaces = workspaces;
  if (streams) args.p_streams = streams;
  return project.ask<Started>("start_sync_job", args);
}

export async function syncWorkspace(
  project: Project,
  name: string,
  stream?: string,
): Promise<string> {
  const started = await start(project, `sync ${name}`, [name], stream ? [stream] : null);
  return started.status === "accepted"
    ? `Sync of ${name} started`
    : `${name} is being synced already`;
}

export function syncAll(project: Project): Question {
  return {
    title: "Sync all workspaces",
    body: (
      <p>
        Starts a sync of every active workspace, as the schedule does. What is being synced already
        is left alone.
      </p>
    ),
    button: "Sync all workspaces",
    act: async () => {
      const started = await start(project, "sync", null, null);
      go(jobPath(started.job_id));
      return started.status === "accepted"
        ? "Sync of all workspaces started"
        : "A sync of all is running already";
    },
  };
}

export async function retry(project: Project, jobId: string): Promise<string> {
  const started = await project.ask<Started>("retry_failed_chunks", { p_job_id: jobId });
  go(jobPath(started.job_id));
  return "Retry started";
}

export function cancel(
  project: Project,
  jobId: string,
  name: string,
  processing: number,
): Question {
  return {
    title: `Cancel job ${name}`,
    body: (
      <p>
        Pages that wait are not fetched any more. {counted(processing, "page")} in flight{" "}
        {processing === 1 ? "ends" : "end"} without being written. What was written stays.
      </p>
    ),
    button: `Cancel ${name}`,
    isDangerous: true,
    act: async () => {
      await project.ask("cancel_sync_job", { p_job_id: jobId });
      return `Job ${name} is cancelled`;
    },
  };
}

export function pauseAll(project: Project): Question {
  return {
    title: "Pause everything",
    body: (
      <p>
        No page is handed out any more, of any workspace, until somebody resumes. What is in flight
        ends.
      </p>
    ),
    button: "Pause everything",
    act: async () => {
      await project.ask("pause_sync");
      return "Everything is paused";
    },
  };
}

export async function resumeAll(project: Project): Promise<string> {
  await project.ask("resume_sync");
  return "Resumed";
}

export async function pauseWorkspace(project: Project, name: string): Promise<string> {
  await project.ask("pause_sync", { p_workspace: name });
  return `${name} is paused`;
}

export async function resumeWorkspace(project: Project, name: string): Promise<string> {
  await project.ask("resume_sync", { p_workspace: name });
  return `${name} goes on`;
}

export function unblock(project: Project, source: string, scope: string): Question {
  return {
    title: `Lift the block of ${scope}`,
    body: (
      <p>
        Requests to {scope} go out again at once, at the rate that was set. If the API still refuses
        them, the block comes back.
      </p>
    ),
    button: `Unblock ${scope}`,
    act: async () => {
      await project.ask("unblock_budget", { p_source: source, p_scope_key: scope });
      return `${scope} is unblocked`;
    },
  };
}

/** The records themselves, before one lets them go. */
export async function approval(project: Project, name: string, runId: number): Promise<Question> {
  const held = await project.ask<Held>("get_held_deletions", { p_run_id: runId });
  return {
    title: `Delete ${counted(held.count, "record")} of ${name}`,
    body: (
      <>
        <p>
          A complete scan did not show {held.count === 1 ? "this record" : "these records"}.
          Deleting marks them as deleted here; the API is not touched, and a record that is seen
          again comes back.
        </p>
        <HeldList project={project} runId={runId} first={held} />
      </>
    ),
    button: `Delete ${counted(held.count, "record")} of ${name}`,
    isDangerous: true,
    act: async () => {
      const done = await project.ask<{ deleted: number }>("approve_deletions", { p_run_id: runId });
      return `${counted(done.deleted, "record")} of ${name} deleted`;
    },
  };
}

function HeldList({ project, runId, first }: { project: Project; runId: number; first: Held }) {
  const [records, setRecords] = useState<HeldRecord[]>(first.records);
  const [error, setError] = useState<AskError | null>(null);
  const more = async () => {
    try {
      const next = await project.ask<Held>("get_held_deletions", {
        p_run_id: runId,
        p_after: records.at(-1)?.id ?? null,
      });
      setRecords([...records, ...next.records]);
    } catch (refusal) {
      setError(refusal as AskError);
    }
  };
  return (
    <>
      <div
        class="held-scroll"
        tabIndex={0}
        role="region"
        aria-label="Records that would be deleted"
      >
        <HeldTable records={records} />
      </div>
      {records.length < first.count && (
        <p>
          {count(records.length)} of {count(first.count)} shown.{" "}
          <button type="button" class="quiet" onClick={more}>
            Show more
          </button>
        </p>
      )}
      {error && <Failure error={error} />}
    </>
  );
}

export function HeldTable({ records }: { records: HeldRecord[] }) {
  return (
    <table class="plain">
      <thead>
        <tr>
          <th>Record</th>
          <th>Id</th>
          <th>Status</th>
          <th>Last seen, {zoneLabel}</th>
        </tr>
      </thead>
      <tbody>
        {records.map((record) => (
          <tr key={record.id}>
            <td>
              <Name>{record.name}</Name>
            </td>
            <td class="number">{record.id}</td>
            <td>{record.detail && <Name>{record.detail}</Name>}</td>
            <td>{record.last_seen_at ? short(record.last_seen_at) : "–"}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** A button that acts at once; a refusal is shown beside it in the database's words. */
export function Press({
  act,
  children,
  class: className,
  label,
}: {
  act: () => Promise<string>;
  children: preact.ComponentChildren;
  class?: string;
  label?: string;
}) {
  const { announce, confirm } = useWorld();
  const [isBusy, setIsBusy] = useState(false);
  const press = async (event: Event) => {
    event.stopPropagation();
    setIsBusy(true);
    try {
      announce(await act());
    } catch (refusal) {
      const error = refusal as AskError;
      confirm(refused(error, act));
    }
    setIsBusy(false);
  };
  return (
    <button
      type="button"
      class={className ?? ""}
      disabled={isBusy}
      onClick={press}
      {...(label ? { "aria-label": label } : {})}
    >
      {children}
    </button>
  );
}

export function refused(error: AskError, act: () => Promise<string>): Question {
  return { title: "Refused", body: <Failure error={error} />, button: "Try again", act };
}

/** A question is asked of the database before it can be put. */
export function Approve({
  name,
  runId,
  waiting,
}: {
  name: string;
  runId: number;
  waiting: number;
}) {
  const { project, confirm } = useWorld();
  return (
    <Press
      act={async () => {
        confirm(await approval(project, name, runId));
        return "";
      }}
    >
      Review {count(waiting)}…
    </Press>
  );
}

export function Command({ text }: { text: string }) {
  return <Copy text={text} />;
}
