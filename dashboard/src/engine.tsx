import { unblock } from "./acts";
import { useScreen, useWorld } from "./screen";
import { count, counted, span } from "./time";
import type { Engine } from "./types";
import { Ago, Copy, Empty, Fact, Failure, Fold, Name, State } from "./ui";

export function EngineScreen() {
  const { project, confirm } = useWorld();
  const { answer, error, now } = useScreen<Engine>("engine", () => project.ask("get_engine_page"));
  if (!answer) return error ? <Failure error={error} /> : <div class="loading" aria-busy="true" />;
  const { queue, hints, posts, cron } = answer;
  const alive = answer.workers.filter((worker) => worker.is_alive).length;
  return (
    <>
      <h1 class="hidden">Engine</h1>
      {answer.causes.length > 0 && (
        <ul class="waits" aria-label="What is wrong">
          {answer.causes.map((cause) => (
            <li key={cause.message}>
              <State tone="wrong">{cause.subject}</State>
              <Fold text={cause.message} />
            </li>
          ))}
        </ul>
      )}
      <section aria-label="Queue">
        <h2>Queue</h2>
        <dl class="facts">
          <Fact label="Ready">
            <span class="number big">{count(queue.ready_chunks)}</span>
          </Fact>
          <Fact label="In flight">
            <span class="number big">{count(queue.chunks_in_flight)}</span>
          </Fact>
          <Fact label="Waiting for a slot">
            <span class="number big">{count(queue.waiting_chunks)}</span>
          </Fact>
          <Fact label="Delayed">
            <span class="number big">{count(queue.delayed_chunks)}</span>
          </Fact>
          <Fact label="Oldest ready">
            {answer.oldest_ready_at ? (
              span(now - Date.parse(answer.oldest_ready_at))
            ) : (
              <span class="muted">none</span>
            )}
          </Fact>
          <Fact label="Last sweep">
            <Ago at={queue.last_sweep_at} now={now} />
          </Fact>
        </dl>
        {queue.last_sweep_error && (
          <State tone="wrong">
            <Fold text={queue.last_sweep_error} />
          </State>
        )}
      </section>
      <section aria-label="Workers">
        <h2>
          Workers <span class="muted">{counted(alive, "alive", "alive")}</span>
        </h2>
        {answer.workers.length === 0 ? (
          <Empty title="No worker in the last day">
            <p>
              A worker fetches pages. Start one, anywhere, with the project's URL and secret key:
            </p>
            <p>
              <Copy text="chunkwise worker" />
            </p>
          </Empty>
        ) : (
          <table class="list snug">
            <thead>
              <tr>
                <th>Worker</th>
                <th>State</th>
                <th>Last heard of</th>
                <th class="right">In flight</th>
                <th>Since</th>
              </tr>
            </thead>
            <tbody>
              {answer.workers.map((worker) => (
                <tr key={worker.worker_id}>
                  <td>
                    <Name>{worker.worker_id}</Name>
                  </td>
                  <td>
                    {worker.is_alive ? (
                      <State tone="fresh">Alive</State>
                    ) : (
                      <State tone="off">Gone</State>
                    )}
                    {worker.alone_with !== null && (
                      <span class="muted"> alone with page {worker.alone_with}</span>
                    )}
                  </td>
                  <td>
                    <Ago at={worker.last_seen_at} now={now} />
                  </td>
                  <td class="number right">{count(worker.chunks_in_flight)}</td>
                  <td>
                    <Ago at={worker.first_seen_at} now={now} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </section>
      <section aria-label="Budgets">
        <h2>Budgets</h2>
        {answer.budgets.length === 0 ? (
          <p class="muted">
            No instance is known yet: each gets a budget with its first workspace.
          </p>
        ) : (
          <table class="list snug">
            <thead>
              <tr>
                <th>Instance</th>
                <th>State</th>
                <th class="right">In flight</th>
                <th class="right">Requests/s</th>
                <th />
              </tr>
            </thead>
            <tbody>
              {answer.budgets.map((budget) => {
                const isReduced = budget.learned_rate !== null || budget.reduced_in_flight !== null;
                return (
                  <tr key={`${budget.source_name} ${budget.scope_key}`}>
                    <td>
                      <Name>{budget.scope_key}</Name>{" "}
                      <span class="muted">{budget.source_name}</span>
                    </td>
                    <td>
                      {budget.blocked_until ? (
                        <State tone="waiting">
                          Blocked, {span(Date.parse(budget.blocked_until) - now)} left
                        </State>
                      ) : isReduced ? (
                        <State tone="waiting">Slowed down by 429s</State>
                      ) : (
                        <State tone="fresh">As set</State>
                      )}
                    </td>
                    <td class="number right">
                      {count(budget.in_flight)}
                      <span class="muted">
                        {" "}
                        of {budget.reduced_in_flight ?? budget.max_in_flight ?? "∞"}
                      </span>
                    </td>
                    <td class="number right">
                      {budget.learned_rate ?? budget.requests_per_second ?? "no limit"}
                      {budget.learned_rate !== null && (
                        <span class="muted"> of {budget.requests_per_second ?? "no limit"}</span>
                      )}
                    </td>
                    <td class="right">
                      {(budget.blocked_until || isReduced) && (
                        <button
                          type="button"
                          onClick={() =>
                            confirm(unblock(project, budget.source_name, budget.scope_key))
                          }
                          aria-label={`Unblock ${budget.scope_key}`}
                        >
                          Unblock…
                        </button>
                      )}
                    </td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        )}
      </section>
      <section aria-label="Hints">
        <h2>Hints</h2>
        <dl class="facts">
          <Fact label="Realtime">
            {hints.last_error ? (
              <State tone="wrong">
                <Fold text={hints.last_error} />
              </State>
            ) : hints.takes_broadcasts ? (
              <State tone="fresh">Takes broadcasts</State>
            ) : (
              <State tone={hints.expect_realtime ? "waiting" : "off"}>
                No client was connected today
              </State>
            )}
          </Fact>
          <Fact label="Last broadcast">
            <Ago at={hints.last_broadcast_at} now={now} />
          </Fact>
          <Fact label="POSTs answered">
            {posts.count === 0 ? (
              <span class="muted">none sent</span>
            ) : (
              <span class="number">
                {count(posts.answered)} of the last {count(posts.count)}
              </span>
            )}
          </Fact>
          {posts.median_ms !== null && (
            <Fact label="Median answer">{count(posts.median_ms)} ms</Fact>
          )}
        </dl>
        {answer.endpoints.map((endpoint) => (
          <p key={endpoint.url}>
            <State tone={endpoint.resting_until ? "wrong" : endpoint.is_active ? "fresh" : "off"}>
              <Name>{endpoint.url}</Name>
            </State>{" "}
            <span class="muted">
              answered <Ago at={endpoint.last_answered_at} now={now} />
            </span>{" "}
            {endpoint.last_error && <Fold text={endpoint.last_error} />}
          </p>
        ))}
      </section>
      <section aria-label="Cron">
        <h2>
          Cron{" "}
          <span class="muted">
            heard of <Ago at={cron.beat_at} now={now} />, health checked{" "}
            <Ago at={cron.checked_at} now={now} />
          </span>
        </h2>
        {cron.last_error && (
          <State tone="wrong">
            <Fold text={cron.last_error} />
          </State>
        )}
        <table class="list snug">
          <thead>
            <tr>
              <th>Job</th>
              <th>When (UTC)</th>
              <th>State</th>
            </tr>
          </thead>
          <tbody>
            {cron.jobs.map((job) => (
              <tr key={job.job_name}>
                <td>{job.job_name}</td>
                <td>
                  <code>{job.schedule}</code>
                </td>
                <td>
                  {job.fault ? (
                    <>
                      <State tone="wrong">
                        <Fold text={job.fault} />
                      </State>{" "}
                      <Copy text="select schedule_jobs();" />
                    </>
                  ) : (
                    <State tone="fresh">Scheduled</State>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
        <p class="muted versions">
          Schema {answer.versions.schema_version}, protocol {answer.versions.protocol_version}
        </p>
      </section>
    </>
  );
}
