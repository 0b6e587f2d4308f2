import { createHash } from "node:crypto";
import type { Db } from "../../store/database.ts";
import { cancelReasons } from "../../store/executions.ts";
import { readSteps } from "../../store/journal.ts";
import type { ActCall, DoAct } from "./acts.ts";
import type { ActName, Acts } from "./platform.ts";

/** Stands for a text that stays in the store: equal texts of a run have equal references, so that a story can compare them. */
const reference = /text:[0-9a-f]{32}/g;
/** Commits, blobs and run keys. */
const id = /^[0-9a-f]{7,64}$/;
/** Names of errors, such as UserFacingError. */
const identifier = /^[A-Za-z]\w{0,60}$/;

/**
 * Acts whose answers carry no text: ids, SHAs, counts and words of our own (`isOurs`) travel through the platform; for
 * every other string a reference does, which is put back from the recorded steps before an act is done.
 */
export function concealTexts(doAct: DoAct, db: Db, isOurs: (text: string) => boolean): DoAct {
  return async <N extends ActName>(call: ActCall<N>): Promise<Acts[N]["answer"]> => {
    const answer = await doAct({ ...call, given: await revealed(db, call.runKey, call.given) });
    const conceal = <T>(value: T): T =>
      mapStrings(value, (text) => (isOurs(text) || plain(text) ? text : referenceOf(call.runKey, text)));
    return withoutTexts(answer, conceal);
  };
}

function withoutTexts<A extends Acts[ActName]["answer"]>(answer: A, conceal: <T>(value: T) => T): A {
  switch (answer.kind) {
    case "done":
      return "output" in answer ? { ...answer, output: conceal(answer.output) } : answer;
    case "failed": {
      const { name, message, advice } = answer.error;
      const texts = { message: conceal(message), ...(advice === undefined ? {} : { advice: conceal(advice) }) };
      return { ...answer, error: { ...answer.error, ...texts, name: identifier.test(name) ? name : "Error" } };
    }
    case "decided":
      return { ...answer, decision: conceal(answer.decision) };
    case "stopped":
      return { ...answer, reason: conceal(answer.reason) };
    default:
      return answer;
  }
}

const decisions = new Set(["timed-out", "approve", "edit", "reject"]);

function plain(text: string): boolean {
  return id.test(text) || decisions.has(text);
}

function referenceOf(runKey: string, text: string): string {
  return `text:${createHash("sha256").update(`${runKey}\n${text}`).digest("hex").slice(0, 32)}`;
}

async function revealed<T>(db: Db, runKey: string, given: T): Promise<T> {
  if (!JSON.stringify(given).includes("text:")) return given;
  const texts = new Map<string, string>();
  const learn = (value: unknown) =>
    void mapStrings(value, (text) => {
      texts.set(referenceOf(runKey, text), text);
      return text;
    });
  for (const { output, error } of await readSteps(db, runKey)) learn([output, error]);
  learn([...(await cancelReasons(db, [runKey])).values()]);
  return mapStrings(given, (text) => text.replaceAll(reference, (one) => texts.get(one) ?? one));
}

/** The same JSON with each string replaced. */
function mapStrings<T>(value: T, replace: (text: string) => string): T {
  if (typeof value === "string") return replace(value) as T;
  if (Array.isArray(value)) return value.map((one) => mapStrings(one, replace)) as T;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, mapStrings(one, replace)])) as T;
}
