import { useEffect, useState } from "preact/hooks";
import type { Project } from "./project";
import { count, duration, short } from "./time";
import { Copy, Name, State, Status } from "./ui";

type How = "password" | "link";

export function SignIn({ project, reason }: { project: Project; reason: string }) {
  const [how, setHow] = useState<How>("password");
  const [email, setEmail] = useState("");
  const [secret, setSecret] = useState("");
  const [said, setSaid] = useState(reason);
  const [isWrong, setIsWrong] = useState(reason !== "");
  const [isSent, setIsSent] = useState(false);
  const [isBusy, setIsBusy] = useState(false);

  const submit = async (event: Event) => {
    event.preventDefault();
    setIsBusy(true);
    const { auth } = project.client;
    const { error } = isSent
      ? await auth.verifyOtp({ email, token: secret.trim(), type: "email" })
      : how === "password"
        ? await auth.signInWithPassword({ email, password: secret })
        : await auth.signInWithOtp({
            email,
            options: {
              shouldCreateUser: false,
              emailRedirectTo: location.origin + location.pathname,
            },
          });
    setIsBusy(false);
    setIsWrong(error !== null);
    if (error) {
      setSaid(error.message);
    } else if (how === "link" && !isSent) {
      setIsSent(true);
      setSecret("");
      setSaid(`A link was sent to ${email}. Follow it in this browser, or type its code here.`);
    }
  };
  const choose = (next: How) => {
    setHow(next);
    setIsSent(false);
    setSecret("");
    setSaid("");
    setIsWrong(false);
  };
  return (
    <main class="signin" id="main">
      <h1>Chunkwise</h1>
      <p class="muted">{project.name}</p>
      <form onSubmit={submit}>
        <label>
          Email
          <input
            type="email"
            name="email"
            required
            autocomplete="username"
            value={email}
            onInput={(event) => setEmail(event.currentTarget.value)}
          />
        </label>
        {(how === "password" || isSent) && (
          <label>
            {isSent ? "Code" : "Password"}
            <input
              type={isSent ? "text" : "password"}
              name={isSent ? "code" : "password"}
              required
              inputMode={isSent ? "numeric" : "text"}
              autocomplete={isSent ? "one-time-code" : "current-password"}
              value={secret}
              onInput={(event) => setSecret(event.currentTarget.value)}
            />
          </label>
        )}
        <button type="submit" class="primary" disabled={isBusy}>
          {how === "link" && !isSent ? "Send a link" : "Sign in"}
        </button>
        <button
          type="button"
          class="quiet"
          onClick={() => choose(how === "link" ? "password" : "link")}
        >
          {how === "link" ? "Use a password" : "Use a magic link"}
        </button>
        <p aria-live="polite" class="signin-said">
          {said && (isWrong ? <State tone="wrong">{said}</State> : said)}
        </p>
      </form>
      <PublicJobs project={project} />
    </main>
  );
}

interface PublicJob {
  id: string;
  job_name: string;
  status: string;
  started_at: string;
  duration_ms: number | null;
  workspaces_processed: number;
  total_workspaces: number;
  total_accounts_synced: number;
}

const MOST_PUBLIC = 20;

/** What anyone may read while the setting "public dashboard" is on; nothing while it is off. */
function PublicJobs({ project }: { project: Project }) {
  const [jobs, setJobs] = useState<PublicJob[]>([]);
  useEffect(() => {
    const look = async () => {
      if (document.hidden) return;
      const { data } = await project.client
        .from("polling_job_status")
        .select(
          "id, job_name, status, started_at, duration_ms, workspaces_processed, total_workspaces, total_accounts_synced",
        )
        .order("started_at", { ascending: false })
        .limit(MOST_PUBLIC);
      setJobs((data as PublicJob[] | null) ?? []);
    };
    void look();
    const timer = setInterval(look, 15_000);
    return () => clearInterval(timer);
  }, [project]);
  if (jobs.length === 0) return null;
  return (
    <table class="list public">
      <caption>The last {MOST_PUBLIC} jobs, public</caption>
      <thead>
        <tr>
          <th>Job</th>
          <th>Outcome</th>
          <th>Started</th>
          <th class="right">Took</th>
          <th class="right">Workspaces</th>
          <th class="right">Records</th>
        </tr>
      </thead>
      <tbody>
        {jobs.map((job) => (
          <tr key={job.id}>
            <td>
              <Name>{job.job_name}</Name>
            </td>
            <td>
              <Status status={job.status} />
            </td>
            <td>{short(job.started_at)}</td>
            <td class="number right">{duration(job.duration_ms)}</td>
            <td class="number right">
              {count(job.workspaces_processed)} of {count(job.total_workspaces)}
            </td>
            <td class="number right">{count(job.total_accounts_synced)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Signed in, and nothing to see: what makes an operator. */
export function NoOperator({ project, email }: { project: Project; email: string }) {
  const [isBusy, setIsBusy] = useState(false);
  const again = async () => {
    setIsBusy(true);
    // The token says who is an operator, so it must be a new one.
    await project.client.auth.refreshSession();
    location.reload();
  };
  return (
    <div class="empty">
      <h2>You are no operator yet</h2>
      <p>
        <Name>{email}</Name> is signed in, and may read and steer nothing here. Someone with the
        project's secret key can appoint you, from a terminal:
      </p>
      <p>
        <Copy text={`chunkwise operators add ${email}`} />
      </p>
      <p>
        <button type="button" class="primary" disabled={isBusy} onClick={again}>
          I was added: look again
        </button>
      </p>
    </div>
  );
}
