import { createClient, type SupabaseClient } from "@supabase/supabase-js";

export interface Config {
  url: string;
  publishableKey: string;
  /** What the page calls the project; else the first part of its host. */
  name?: string;
}

/** A refusal or failure in the database's, the API's or the network's own words. */
export class AskError extends Error {
  constructor(
    message: string,
    readonly code: string,
    readonly hint: string,
    /** Of the HTTP answer; 0: there was none. */
    readonly status: number,
  ) {
    super(message);
  }

  get isUnreachable(): boolean {
    return this.status === 0 || this.status === 502 || this.status === 503 || this.status === 504;
  }

  get isNoOperator(): boolean {
    return this.code === "42501";
  }

  /** The gateway's words for the page's own key, before anybody's session counts. */
  get isKeyRefused(): boolean {
    return this.status === 401 && /api key/i.test(this.message);
  }

  get isExpired(): boolean {
    return this.status === 401 && !this.isNoOperator && !this.isKeyRefused;
  }

  /** It keeps every screen from knowing; else it is an answer to what one screen asked. */
  get isOfThePage(): boolean {
    return this.isUnreachable || this.isNoOperator || this.isKeyRefused || this.isExpired;
  }
}

const PATIENCE_MS = 15_000;

export class Project {
  readonly name: string;
  readonly client: SupabaseClient;

  constructor(readonly config: Config) {
    this.client = createClient(config.url, config.publishableKey, {
      auth: { flowType: "pkce", detectSessionInUrl: true, persistSession: true },
    });
    const host = new URL(config.url).hostname;
    this.name =
      config.name || (/^[\d.]+$|^localhost$/.test(host) ? "local" : (host.split(".")[0] ?? host));
  }

  static async load(): Promise<Project> {
    const answer = await fetch("/config.json", { cache: "no-store" });
    if (!answer.ok) {
      throw new Error(`config.json is not beside this page: it answered ${answer.status}.`);
    }
    const config: unknown = await answer.json();
    if (!isConfig(config)) {
      throw new Error('config.json has no "url" and "publishableKey".');
    }
    if (config.publishableKey.startsWith("sb_secret_")) {
      throw new Error(
        "config.json holds a secret key. Take it out, and rotate it: it was served to anyone.",
      );
    }
    return new Project(config);
  }

  /** Call a function of the database. Throws AskError. */
  async ask<Answer>(fn: string, args: Record<string, unknown> = {}): Promise<Answer> {
    const { data, error, status } = await this.client
      .rpc(fn, args)
      .abortSignal(AbortSignal.timeout(PATIENCE_MS));
    if (error) {
      const isNetwork = !error.code && status === 0;
      const words = isNetwork ? `No answer from ${this.config.url}` : error.message;
      throw new AskError(words, error.code ?? "", error.hint ?? "", status);
    }
    return data as Answer;
  }
}

function isConfig(value: unknown): value is Config {
  const found = value as Partial<Config> | null;
  return typeof found?.url === "string" && typeof found.publishableKey === "string";
}
