import { and, eq, sql } from "drizzle-orm";
import type { Db } from "./database.ts";
import { inSeconds } from "./executions.ts";
import { notifications } from "./schema.ts";
import type { Store, TakenNotification } from "./store.ts";

/** What people are to be told outside of GitHub, and which process sends it. */
export function createNotifications(db: Db): Store["notifications"] {
  /** Only whoever took it last says what became of it: a process that was frozen meanwhile changes nothing. */
  const still = ({ key, attempt }: TakenNotification) =>
    and(eq(notifications.key, key), eq(notifications.state, "queued"), eq(notifications.attempts, attempt));
  return {
    file: async (rows) => {
      if (rows.length === 0) return [];
      const filed = await db
        .insert(notifications)
        .values(rows.map((row) => ({ ...row, state: "queued" as const })))
        .onConflictDoNothing()
        .returning({ key: notifications.key });
      return filed.map(({ key }) => key);
    },
    take: async (channel, leaseSeconds) => {
      const due = sql`${notifications.key} = (
        SELECT key FROM notifications WHERE state = 'queued' AND channel = ${channel} AND next_at <= clock_timestamp()
        ORDER BY next_at, created_at LIMIT 1 FOR UPDATE SKIP LOCKED)`;
      const [taken] = await db
        .update(notifications)
        .set({ attempts: sql`${notifications.attempts} + 1`, nextAt: inSeconds(leaseSeconds) })
        .where(due)
        .returning();
      if (!taken) return undefined;
      const { key, runKey, content, attempts, createdAt } = taken;
      return { key, runKey, channel, content, attempt: attempts, createdAt };
    },
    sent: async (taken) => {
      await db.update(notifications).set({ state: "sent", lastError: null }).where(still(taken));
    },
    failed: async (taken, why) => {
      await db.update(notifications).set({ state: "failed", lastError: why }).where(still(taken));
    },
    retry: async (taken, { seconds, why, holdChannel }) => {
      const nextAt = inSeconds(seconds);
      await db.update(notifications).set({ nextAt, lastError: why }).where(still(taken));
      if (!holdChannel) return;
      await db
        .update(notifications)
        .set({ nextAt })
        .where(
          and(
            eq(notifications.channel, taken.channel),
            eq(notifications.state, "queued"),
            sql`${notifications.nextAt} < ${nextAt}`,
          ),
        );
    },
  };
}
