import { useEffect, useState } from "preact/hooks";

export type Route =
  | { screen: "fleet" }
  | { screen: "jobs" }
  | { screen: "job"; id: string }
  | { screen: "workspace"; name: string }
  | { screen: "alerts" }
  | { screen: "engine" }
  | { screen: "sources" }
  | { screen: "none" };

/** The address was changed from within the page. */
export const MOVED = "chunkwise:moved";
export const SEARCH = "chunkwise:search";
/** Somebody asked for the search box, perhaps before it is there. */
export const searching = { isWanted: false };

export function parse(path: string): Route {
  const [first = "", second, ...rest] = path.replace(/^\/|\/$/g, "").split("/");
  if (rest.length > 0) return { screen: "none" };
  if (first === "" && second === undefined) return { screen: "fleet" };
  if (first === "jobs") return second ? { screen: "job", id: decoded(second) } : { screen: "jobs" };
  if (first === "workspaces" && second) return { screen: "workspace", name: decoded(second) };
  if (second === undefined && (first === "alerts" || first === "engine" || first === "sources")) {
    return { screen: first };
  }
  return { screen: "none" };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const jobPath = (id: string): string => `/jobs/${encodeURIComponent(id)}`;
export const workspacePath = (name: string): string => `/workspaces/${encodeURIComponent(name)}`;

export function go(path: string): void {
  history.pushState(null, "", path);
  window.dispatchEvent(new Event(MOVED));
  window.scrollTo(0, 0);
}

/** Links of this page change the screen without loading it anew. */
export function followLink(event: MouseEvent): void {
  if (
    event.defaultPrevented ||
    event.button !== 0 ||
    event.metaKey ||
    event.ctrlKey ||
    event.shiftKey
  )
    return;
  const link = (event.target as Element | null)?.closest?.("a");
  if (!link || link.target || link.origin !== location.origin || link.hasAttribute("download"))
    return;
  event.preventDefault();
  go(link.pathname + link.search);
}

export function useRoute(): Route {
  const [path, setPath] = useState(location.pathname);
  useEffect(() => {
    const move = () => setPath(location.pathname);
    window.addEventListener("popstate", move);
    window.addEventListener(MOVED, move);
    return () => {
      window.removeEventListener("popstate", move);
      window.removeEventListener(MOVED, move);
    };
  }, []);
  return parse(path);
}

/** Parts of the address's query; what is not there is empty. */
export function query<Name extends string>(...names: Name[]): Record<Name, string> {
  const found = new URLSearchParams(location.search);
  return Object.fromEntries(names.map((name) => [name, found.get(name) ?? ""])) as Record<
    Name,
    string
  >;
}

/** Without a step in the history: what was typed is no place to go back to. */
export function setQuery(parts: Record<string, string>): void {
  const said = Object.entries(parts).filter(([, value]) => value !== "");
  const text = new URLSearchParams(said).toString();
  history.replaceState(null, "", location.pathname + (text && `?${text}`));
}
