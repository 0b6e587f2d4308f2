import { sql } from "drizzle-orm";
import { PgBoss } from "pg-boss";
import type { Logger } from "pino";
import type { Database } from "../../store/database.ts";

/** `front`: commands, and every run's first steps, which are short. `work`: steps that need the turn. `dead`: given up. */
export type Lane = "front" | "work" | "dead";

/** "Advance this run", and nothing more: everything else is read from the database when the job is executed. */
export interface AdvanceJob {
  runKey: string;
  lane: "front" | "work";
  priority: number;
  afterSeconds?: number;
}

export interface JobsOptions {
  database: Database;
  log: Logger;
  concurrency: Record<"front" | "work", number>;
  /** Executes one job; what it throws gives the job back to be tried again. */
  execute(job: { id: string; runKey: string; lane: Lane }): Promise<void>;
  pollSeconds: number;
  /** While true, a lane takes one job in a while: deliveries, which this process acknowledges too, go first. */
  rushing(): boolean;
  /** How often a job is given back before its run is given up. */
  retries: number;
}

const lanes: Lane[] = ["front", "work", "dead"];
const queueOf = (lane: Lane): string => `millwright-${lane}`;
const wakeChannel = "millwright_wake";

/** A worker that went silent for this long loses its jobs; pg-boss allows no less. */
const heartbeatSeconds = 10;
/** Longer than any execution lives (`maxExecutionMinutes`): expiry is the last net below heartbeat and leases. */
const expireInSeconds = 12 * 3_600;

/** How long a lane takes no further job in a rush. */
const rushPauseMs = 500;

interface Fetched {
  /** The queue that it came from; the slot that it takes may be another lane's. */
  lane: Lane;
  id: string;
  retryCount: number;
  data: { runKey: string };
}

/** pg-boss with a fetch loop that asks for as many jobs as slots are free, and settles finished jobs in batches. */
export class Jobs {
  readonly #options: JobsOptions;
  readonly #boss: PgBoss;
  readonly #active: Record<Lane, Map<string, Fetched>> = { front: new Map(), work: new Map(), dead: new Map() };
  readonly #finished: Record<Lane, Fetched[]> = { front: [], work: [], dead: [] };
  readonly #fetching = new Map<Lane, "once" | "again">();
  readonly #fetchedAt = new Map<Lane, number>();
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #running = new Set<Promise<void>>();
  #settling: Promise<void> | undefined;
  #working = false;
  #later: NodeJS.Timeout | undefined;
  #listener: { close(): Promise<void> } | undefined;

  constructor(options: JobsOptions) {
    this.#options = options;
    const { database } = options;
    const shared = { schedule: false, warningSlowQuerySeconds: 30 };
    this.#boss =
      database.kind === "pglite"
        ? new PgBoss({ ...shared, db: { executeSql: (text, values) => database.embedded.query(text, values) } })
        : new PgBoss({
            ...shared,
            connectionString: database.databaseUrl,
            max: 4,
            superviseIntervalSeconds: 2,
            monitorIntervalSeconds: 2,
          });
    this.#boss.on("error", (error) => options.log.warn({ error: error.message }, "the queue met an error"));
  }

  /** Connects and creates the queues; after it, jobs can be sent. */
  async open(): Promise<void> {
    await this.#boss.start();
    const postgres = this.#options.database.kind === "postgres";
    const again = { retryDelay: 1, retryBackoff: true, retryDelayMax: 60 };
    await this.#boss.createQueue(queueOf("dead"), { policy: "short", expireInSeconds, retryLimit: 20, ...again });
    for (const lane of ["front", "work"] as const) {
      await this.#boss.createQueue(queueOf(lane), {
        policy: "short",
        expireInSeconds,
        deleteAfterSeconds: 3_600,
        ...again,
        deadLetter: queueOf("dead"),
        // In one process there is nobody else to take over from.
        ...(postgres ? { heartbeatSeconds } : {}),
      });
    }
  }

  /** Begins to execute jobs. */
  async work(): Promise<void> {
    this.#working = true;
    const { database, pollSeconds } = this.#options;
    this.#every(pollSeconds, () => {
      this.pump();
      void this.#fetch("dead");
    });
    if (database.kind === "postgres") {
      this.#every(heartbeatSeconds / 4, () => this.#touch());
      const pump = () => this.pump();
      this.#listener = await this.#boss.getDb().listen?.(wakeChannel, pump, pump);
    }
    this.pump();
  }

  /** Sends jobs; one that is queued for its run already is not doubled. */
  async send(jobs: readonly AdvanceJob[]): Promise<void> {
    for (const lane of ["front", "work"] as const) {
      const mine = jobs.filter((job) => job.lane === lane);
      if (mine.length === 0) continue;
      await this.#boss.insert(
        queueOf(lane),
        mine.map(({ runKey, priority, afterSeconds = 0 }) => ({
          data: { runKey },
          priority,
          retryLimit: this.#options.retries,
          // A timer must not take the place of a wake-up: only jobs for now share the run's key.
          singletonKey: afterSeconds > 0 ? `${runKey}:${Math.ceil(Date.now() / 1000 + afterSeconds)}` : runKey,
          ...(afterSeconds > 0 ? { startAfter: new Date(Date.now() + afterSeconds * 1000).toISOString() } : {}),
        })),
      );
    }
    if (jobs.length === 0) return;
    this.pump();
    if (this.#options.database.kind === "postgres") {
      await this.#options.database.db.execute(sql`SELECT pg_notify(${wakeChannel}, '')`);
    }
  }

  /** Keys of the runs that have a job waiting to be executed now, and of those whose job pauses before its next try. */
  async queuedRunKeys({ retries }: { retries: boolean }): Promise<Set<string>> {
    const result = await this.#options.database.db.execute(sql`
      SELECT DISTINCT data ->> 'runKey' AS key FROM pgboss.job
      WHERE name IN (${queueOf("front")}, ${queueOf("work")}, ${queueOf("dead")})
        AND state < 'active' AND (start_after <= now() OR (${retries} AND state = 'retry'))`);
    return new Set((result as unknown as { rows: { key: string }[] }).rows.map((row) => row.key));
  }

  /** For the only process of an embedded database at its start: whatever is there belongs to a process that ended. */
  async clear(): Promise<void> {
    for (const lane of lanes) await this.#boss.deleteAllJobs(queueOf(lane));
  }

  /** Gives a job of the front lane one of the slots for long work, when one is free, and its own slot to others. */
  promote(jobId: string): boolean {
    const job = this.#active.front.get(jobId);
    if (!job || this.#active.work.size >= this.#slots("work")) return false;
    this.#active.front.delete(jobId);
    this.#active.work.set(jobId, job);
    this.pump();
    return true;
  }

  /** How many jobs are being executed here. */
  get activeCount(): number {
    return lanes.reduce((sum, lane) => sum + this.#active[lane].size, 0);
  }

  /** Fetches for every free slot, soon. */
  pump(): void {
    void this.#fetch("front");
    void this.#fetch("work");
  }

  /** No further job is fetched from now on. */
  stopFetching(): void {
    this.#working = false;
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
  }

  /** Waits until the jobs that are executed here have ended, at most `seconds`. */
  async finished(seconds: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, seconds * 1000);
    });
    await Promise.race([Promise.allSettled([...this.#running]), late]);
    clearTimeout(timer);
    await this.#settling;
  }

  /** Disconnects. Jobs that are still executed here are left to whoever finds them. */
  async close(): Promise<void> {
    this.stopFetching();
    await this.#listener?.close().catch(() => undefined);
    await this.#boss.stop({ graceful: false });
  }

  async #fetch(lane: Lane): Promise<void> {
    if (this.#fetching.has(lane)) {
      this.#fetching.set(lane, "again");
      return;
    }
    if (this.#options.rushing() && performance.now() - (this.#fetchedAt.get(lane) ?? 0) < rushPauseMs) {
      this.#pumpLater();
      return;
    }
    this.#fetching.set(lane, "once");
    try {
      do {
        this.#fetching.set(lane, "once");
        const free = this.#slots(lane) - this.#active[lane].size;
        if (!this.#working || free <= 0) return;
        const rushing = this.#options.rushing();
        this.#fetchedAt.set(lane, performance.now());
        const jobs = await this.#boss.fetch<{ runKey: string }>(queueOf(lane), { batchSize: rushing ? 1 : free });
        for (const job of jobs) this.#execute({ ...(job as Omit<Fetched, "lane">), lane });
        if (rushing) {
          this.#pumpLater();
          return;
        }
      } while (this.#fetching.get(lane) === "again");
    } catch (error) {
      this.#options.log.warn({ error: messageOf(error) }, "cannot fetch jobs; trying again");
    } finally {
      this.#fetching.delete(lane);
    }
  }

  #pumpLater(): void {
    this.#later ??= setTimeout(() => {
      this.#later = undefined;
      this.pump();
    }, rushPauseMs).unref();
  }

  #slots(lane: Lane): number {
    return lane === "dead" ? 1 : this.#options.concurrency[lane];
  }

  #execute(job: Fetched): void {
    const { lane } = job;
    this.#active[lane].set(job.id, job);
    const running = this.#options
      .execute({ id: job.id, runKey: job.data.runKey, lane })
      .then(
        () => this.#settle(job),
        (error: unknown) => this.#giveBack(job, error),
      )
      .finally(() => {
        this.#running.delete(running);
        for (const slots of lanes) {
          if (this.#active[slots].delete(job.id) && this.#working) void this.#fetch(slots);
        }
      });
    this.#running.add(running);
  }

  /** Completes all jobs that finished while the last batch was written. */
  #settle(job: Fetched): Promise<void> {
    this.#finished[job.lane].push(job);
    this.#settling ??= this.#settleAll();
    return this.#settling;
  }

  async #settleAll(): Promise<void> {
    // Let jobs that end in the same moment join the batch.
    await new Promise((resolve) => setImmediate(resolve));
    for (const lane of lanes) {
      while (this.#finished[lane].length > 0) {
        const jobs = this.#finished[lane].splice(0);
        await this.#boss
          .complete(queueOf(lane), jobs)
          .catch((error: unknown) => this.#options.log.warn({ error: messageOf(error) }, "cannot complete jobs"));
      }
    }
    this.#settling = undefined;
  }

  async #giveBack(job: Fetched, error: unknown): Promise<void> {
    const { log } = this.#options;
    log.error({ runKey: job.data.runKey, error: messageOf(error) }, "a run could not be advanced; trying again");
    await this.#boss
      .fail(queueOf(job.lane), [job], { message: messageOf(error) })
      .catch((failure: unknown) => log.warn({ error: messageOf(failure) }, "cannot give a job back"));
  }

  async #touch(): Promise<void> {
    const active = lanes.flatMap((slots) => [...this.#active[slots].values()]);
    for (const lane of lanes) {
      const jobs = active.filter((job) => job.lane === lane);
      if (jobs.length > 0) await this.#boss.touch(queueOf(lane), jobs);
    }
  }

  #every(seconds: number, work: () => unknown): void {
    const timer = setInterval(async () => {
      try {
        await work();
      } catch (error) {
        this.#options.log.warn({ error: messageOf(error) }, "the queue's upkeep failed; trying again");
      }
    }, seconds * 1000);
    timer.unref();
    this.#timers.push(timer);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
