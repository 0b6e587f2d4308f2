/** One line of the benchmark's output; a limit that there is not is null. */
export interface Figure {
  name: string;
  value: number;
  unit: string;
  baseline: number | null;
  ratio: number | null;
  limit: number | null;
  ratioLimit: number | null;
  ok: boolean;
}

/** A figure that is better when it is smaller; `ok` when neither of its limits is exceeded. */
export function smallerIsBetter(
  name: string,
  value: number,
  unit: string,
  { baseline = null, limit = null, ratioLimit = null }: Partial<Pick<Figure, "baseline" | "limit" | "ratioLimit">>,
): Figure {
  const ratio = baseline === null ? null : value / baseline;
  const ok = (limit === null || value <= limit) && (ratioLimit === null || (ratio !== null && ratio <= ratioLimit));
  return {
    name,
    value: rounded(value),
    unit,
    baseline: rounded(baseline),
    ratio: rounded(ratio),
    limit,
    ratioLimit,
    ok,
  };
}

/** The value below which `share` (0 to 1) of the values lie, by the nearest rank. Throws when there are none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const value = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
  if (value === undefined) throw new RangeError("A percentile needs at least one value");
  return value;
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** `BENCH_SCALE`, by which durations and repetitions are multiplied: 1 measures, less than 1 is a rehearsal. */
export function scale(): number {
  const text = process.env["BENCH_SCALE"] ?? "1";
  const value = Number(text);
  if (!(value > 0 && value <= 1)) throw new RangeError(`BENCH_SCALE must be above 0 and at most 1, but is ${text}`);
  return value;
}

/** Progress goes to standard error: standard output has the figures alone. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

function rounded<T extends number | null>(value: T): T {
  return (value === null ? null : Math.round(value * 1_000) / 1_000) as T;
}
