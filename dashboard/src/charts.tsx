import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { useEffect, useRef } from "preact/hooks";
import { duration, zone } from "./time";

// Seconds, minutes, hours, days: never parts of a second.
const STEPS_S = [
  1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 28800, 43200, 86400, 172800, 604800,
];
const MOST_RUNS = 30;
const WIDTH = 120;
const HEIGHT = 20;

/** The last runs as bars of their duration, from zero; what failed is marked by shape and color. */
export function Sparkline({ runs }: { runs: string | null }) {
  if (!runs) return <span class="muted">no run yet</span>;
  const past = runs.split(",").map((run) => {
    const [ms, status] = run.split(" ");
    return { ms: Number(ms), isBad: status === "failed" || status === "partial" };
  });
  const longest = Math.max(...past.map((run) => run.ms), 1);
  const bad = past.filter((run) => run.isBad).length;
  const label =
    `Last ${past.length} runs: ${bad === 0 ? "none failed" : `${bad} failed or partial`}` +
    `; the last took ${duration(past[0]?.ms ?? null)}, the longest ${duration(longest)}`;
  const step = WIDTH / MOST_RUNS;
  return (
    <svg
      class="spark"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      width={WIDTH}
      height={HEIGHT}
      role="img"
      aria-label={label}
    >
      <title>{label}</title>
      {past.map((run, index) => {
        const x = WIDTH - (index + 1) * step;
        const height = run.isBad ? 4 : Math.max(1, (run.ms / longest) * (HEIGHT - 2));
        return (
          <rect
            key={x}
            class={run.isBad ? "spark-bad" : "spark-run"}
            x={x}
            y={HEIGHT - height}
            width={step - 1}
            height={height}
          />
        );
      })}
    </svg>
  );
}

export interface Series {
  label: string;
  unit: string;
  /** Seconds since 1970. */
  times: number[];
  values: (number | null)[];
  /** Indices of what failed. */
  bad?: number[];
  /** A limit to compare with, as a line. */
  limit?: number | null;
}

function colors(): { line: string; text: string; grid: string; bad: string } {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string) => style.getPropertyValue(name).trim();
  return { line: of("--text"), text: of("--muted"), grid: of("--line"), bad: of("--wrong") };
}

/** A time series that starts at zero and names its unit and zone. One point is a number. */
export function Chart({ series, height = 150 }: { series: Series; height?: number }) {
  const root = useRef<HTMLDivElement>(null);
  const known = series.values.filter((value) => value !== null).length;

  useEffect(() => {
    const element = root.current;
    if (!element || known < 2) return;
    const dark = matchMedia("(prefers-color-scheme: dark)");
    let plot: uPlot | null = null;
    const draw = () => {
      plot?.destroy();
      plot = new uPlot(options(series, element.clientWidth, height), data(series), element);
    };
    const resize = new ResizeObserver(() => plot?.setSize({ width: element.clientWidth, height }));
    draw();
    resize.observe(element);
    dark.addEventListener("change", draw);
    return () => {
      resize.disconnect();
      dark.removeEventListener("change", draw);
      plot?.destroy();
    };
  }, [series, height, known]);

  const last = series.values.findLast((value) => value !== null);
  const summary = `${series.label}: ${known} values, the last ${last ?? "unknown"} ${series.unit}`;
  return (
    <figure class="chart">
      <figcaption>
        {series.label}{" "}
        <span class="muted">
          {series.label.toLowerCase().includes(series.unit) ? "" : `in ${series.unit}, `}
          {zone}
        </span>
      </figcaption>
      {known < 2 ? (
        <p class="chart-number">
          {last === undefined || last === null
            ? "–"
            : `${Math.round(last * 10) / 10} ${series.unit}`}
        </p>
      ) : (
        <div ref={root} role="img" aria-label={summary} />
      )}
    </figure>
  );
}

const time = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
});
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });

const exact = new Intl.DateTimeFormat(undefined, {
  minute: "2-digit",
  second: "2-digit",
  hour: "2-digit",
  hourCycle: "h23",
});

function ticks(_: uPlot, at: number[], __: number, ___: number, step: number): string[] {
  return at.map((seconds) => {
    const moment = new Date(seconds * 1_000);
    if (step < 60) return exact.format(moment);
    return moment.getHours() === 0 && moment.getMinutes() === 0
      ? day.format(moment)
      : time.format(moment);
  });
}

function data(series: Series): uPlot.AlignedData {
  const rows: (number | null)[][] = [series.values];
  if (series.limit) rows.push(series.times.map(() => series.limit ?? null));
  return [series.times, ...rows] as uPlot.AlignedData;
}

/** Round numbers from zero on, the last of them not below `most`. */
function steps(most: number): { top: number; at: number[] } {
  const rough = (most || 1) / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough * 0.999) ?? 10);
  const count = Math.ceil((most || 1) / step - 0.001);
  return { top: count * step, at: Array.from({ length: count + 1 }, (_, index) => index * step) };
}

function options(series: Series, width: number, height: number): uPlot.Options {
  const color = colors();
  const bad = new Set(series.bad ?? []);
  const font = "11px system-ui, sans-serif";
  const axis = {
    stroke: color.text,
    font,
    grid: { stroke: color.grid, width: 1 },
    ticks: { show: false },
  };
  const lines: uPlot.Series[] = [
    {},
    {
      stroke: color.line,
      width: 1.5,
      points: { show: series.times.length < 60, size: 4, fill: color.line },
    },
  ];
  if (series.limit)
    lines.push({ stroke: color.text, width: 1, dash: [4, 4], points: { show: false } });
  return {
    width,
    height,
    legend: { show: false },
    cursor: { show: false },
    scales: { y: { range: (_, __, max) => [0, steps(Math.max(max, series.limit ?? 0)).top] } },
    axes: [
      { ...axis, grid: { show: false }, size: 26, space: 80, incrs: STEPS_S, values: ticks },
      { ...axis, size: 48, splits: (_, __, ___, top) => steps(top).at },
    ],
    series: lines,
    hooks: {
      draw: [
        (plot) => {
          const { ctx } = plot;
          ctx.fillStyle = color.bad;
          const size = 7 * devicePixelRatio;
          for (const index of bad) {
            const time = series.times[index];
            if (time === undefined) continue;
            const x = plot.valToPos(time, "x", true);
            ctx.fillRect(x - size / 2, plot.bbox.top + plot.bbox.height - size, size, size);
          }
        },
      ],
    },
  };
}
