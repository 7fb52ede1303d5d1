import type { RealtimeChannel } from "@supabase/supabase-js";
import type { Project } from "./project";

export type SocketState = "live" | "polling";

const TOPIC = "chunkwise:progress";
const REBUILD_MS = 3_000;

/** The private topic on which the database says that a job moved. It only makes the page look
 * sooner: whatever it misses, the poll brings. */
export class Socket {
  private channel: RealtimeChannel | null = null;
  private timer = 0;
  private isWanted = false;
  private readonly listeners = new Set<(state: SocketState, moved: boolean) => void>();
  state: SocketState = "polling";

  constructor(private readonly project: Project) {}

  listen(listener: (state: SocketState, moved: boolean) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  async open(): Promise<void> {
    this.isWanted = true;
    if (this.channel) return;
    await this.project.client.realtime.setAuth();
    if (!this.isWanted || this.channel) return;
    const channel = this.project.client.channel(TOPIC, { config: { private: true } });
    this.channel = channel;
    channel
      .on("broadcast", { event: "progress" }, () => this.tell(this.state, true))
      .subscribe((status) => {
        if (channel !== this.channel) return;
        this.tell(status === "SUBSCRIBED" ? "live" : "polling", status === "SUBSCRIBED");
        // The server closed it for good (token, rate): only a new channel comes back.
        if (status === "CLOSED") this.rebuild();
      });
  }

  close(): void {
    this.isWanted = false;
    clearTimeout(this.timer);
    this.drop();
    this.tell("polling", false);
  }

  private rebuild(): void {
    this.drop();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (this.isWanted) void this.open();
    }, REBUILD_MS);
  }

  private drop(): void {
    const channel = this.channel;
    this.channel = null;
    if (channel) void this.project.client.removeChannel(channel);
  }

  private tell(state: SocketState, moved: boolean): void {
    this.state = state;
    for (const listener of this.listeners) listener(state, moved);
  }
}
