import type { WorkflowHandle } from "@temporalio/client";
import proto from "@temporalio/proto";

const { History } = proto.temporal.api.history.v1;
type History = proto.temporal.api.history.v1.IHistory;

/** What Temporal keeps of a run. */
export async function historyOf(handle: WorkflowHandle): Promise<History> {
  return handle.fetchHistory();
}

/** As JSON that can be read, compared and kept; payloads are base64. */
export function historyToJson(history: History): string {
  const plain = History.toObject(History.fromObject(history), { bytes: String, enums: String, longs: String });
  return `${JSON.stringify(plain, null, 1)}\n`;
}

export function historyFromJson(json: string): History {
  return History.fromObject(JSON.parse(json));
}

/** Every word of a history, payloads decoded: what anybody who may look into Temporal can read. */
export function wordsOf(history: History): string {
  return historyToJson(history).replaceAll(/"data": "([^"]*)"/g, (_, data: string) =>
    JSON.stringify({ data: Buffer.from(data, "base64").toString("utf8") }),
  );
}
