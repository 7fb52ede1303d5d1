import { useScreen, useWorld } from "./screen";
import { count, counted } from "./time";
import type { Sources } from "./types";
import { Ago, Copy, Empty, Fact, Failure, Name, State } from "./ui";

/** What a stream's completeness promises. */
const COMPLETE: Record<string, string> = {
  counted: "every page of one scan, and as many ids as the API counts",
  chained: "page after page, each proven to follow the one before, to the end",
  agreed: "two scans of all pages that show the same",
  feed: "newest first, to the end or the mark of the last complete scan",
  items: "one request for each record that its parent staged",
  single: "one answer",
};

export function SourcesScreen() {
  const { project } = useWorld();
  const { answer, error, now } = useScreen<Sources>("sources", () =>
    project.ask("get_sources_page"),
  );
  if (!answer) return error ? <Failure error={error} /> : <div class="loading" aria-busy="true" />;
  if (answer.sources.length === 0) {
    return (
      <Empty title="No source yet">
        <p>A source is an API. It is declared in SQL:</p>
        <p>
          <Copy text="select declare_source('{&quot;source_name&quot;: &quot;…&quot;}');" />
        </p>
      </Empty>
    );
  }
  return (
    <>
      <h1 class="hidden">Sources</h1>
      {answer.sources.map((source) => (
        <section key={source.source_name} aria-label={source.source_name}>
          <h2>
            <Name>{source.source_name}</Name>{" "}
            <span class="muted">{counted(source.workspaces, "active workspace")}</span>{" "}
            {source.paused_at && <State tone="waiting">Paused</State>}
          </h2>
          <dl class="facts">
            <Fact label="Base path">
              <code>{source.base_path || "/"}</code>
            </Fact>
            {source.auth === "none" ? (
              <Fact label="Its key">none</Fact>
            ) : (
              <Fact label={source.token_url ? "Its access token goes into" : "Its key goes into"}>
                {source.auth_in} <code>{source.auth_name}</code>
                {source.auth === "basic" && ", as user and password"}
              </Fact>
            )}
            {source.token_url && (
              <Fact label="Access tokens are from">
                <code>{source.token_url}</code>, the client in the{" "}
                {source.token_auth === "basic" ? "header Authorization" : "form"}
              </Fact>
            )}
            <Fact label={`Budget of each ${source.budget_scope}`}>
              <span class="number">
                {source.requests_per_second === null
                  ? "no limit"
                  : `${counted(source.requests_per_second, "request")}/s`}
                , {source.max_in_flight ?? "any number"} in flight
              </span>
            </Fact>
          </dl>
          <table class="list">
            <thead>
              <tr>
                <th>Stream</th>
                <th>Request</th>
                <th>Complete means</th>
                <th>Goes to</th>
                <th class="right">Records</th>
                <th>Last complete</th>
                <th>Try it</th>
              </tr>
            </thead>
            <tbody>
              {source.streams.map((stream) => (
                <tr key={stream.stream}>
                  <td>
                    {stream.stream}
                    {!stream.is_default && <span class="muted"> · on request</span>}
                  </td>
                  <td>
                    <code>
                      {stream.parent_stream ? (stream.item_path ?? stream.path) : stream.path}
                    </code>
                    <span class="muted">
                      {" "}
                      {stream.parent_stream
                        ? `after ${stream.parent_stream}`
                        : `${stream.page_size} a page`}
                    </span>
                  </td>
                  <td class="words">
                    {stream.completeness}
                    <span class="muted">: {COMPLETE[stream.completeness]}</span>
                  </td>
                  <td>
                    <code>{stream.target_table}</code>
                  </td>
                  <td class="number right">
                    {stream.records === null ? "–" : count(stream.records)}
                  </td>
                  <td>
                    <Ago at={stream.last_complete_sync_at} now={now} />
                  </td>
                  <td>
                    <Copy
                      text={stream.command}
                      label={stream.command.replace(/ --workspace.*/, " …")}
                    />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      ))}
    </>
  );
}
