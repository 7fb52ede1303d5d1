/** Times and numbers as people read them, in the reader's zone. */

export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const full = new Intl.DateTimeFormat(undefined, {
  year: "numeric",
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  timeZoneName: "short",
});
const dayAndTime = new Intl.DateTimeFormat(undefined, {
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
});
const hours = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const number = new Intl.NumberFormat("en-US");

/** The zone in a few letters, for the head of a column. */
export const zoneLabel =
  new Intl.DateTimeFormat(undefined, { timeZoneName: "short" })
    .formatToParts()
    .find((part) => part.type === "timeZoneName")?.value ?? zone;

export const absolute = (iso: string): string => full.format(new Date(iso));
export const short = (iso: string): string => dayAndTime.format(new Date(iso));
export const clock = (iso: string): string => hours.format(new Date(iso));
export const isSameDay = (iso: string, now: number): boolean =>
  new Date(iso).toDateString() === new Date(now).toDateString();
export const count = (value: number): string => number.format(value);

export function counted(value: number, noun: string, plural = `${noun}s`): string {
  return `${count(value)} ${value === 1 ? noun : plural}`;
}

/** "3 s", "12 min", "4 h", "18 days". */
export function span(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return counted(Math.floor(seconds / 86_400), "day");
}

/** How long something took: "0.4 s", "2 min 5 s". */
export function duration(ms: number | null): string {
  if (ms === null) return "–";
  if (ms < 9_950) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 59_500) return `${Math.round(ms / 1000)} s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min ${Math.round((ms % 60_000) / 1000)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
