import { analysis } from "../../test/support/model-replies.ts";
import { type RawReply, type RawRequest, startRawModel } from "../../test/support/scripted-model.ts";
import { type Child, serve, startChild } from "./child.ts";

export interface ModelOptions {
  /** `question`: every analysis ends with a question. `change`: the limit in src/limits.js is raised, with its test. */
  story: "question" | "change";
  /** The first request to write a change waits until so many runs have come this far, at most two minutes. */
  meet?: number;
}

/** A model's server in a process of its own; it answers at once. */
export function startModelProcess(options: ModelOptions): Promise<Child<{ url: string }, never, never>> {
  return startChild(import.meta.filename, options);
}

async function start({ story, meet = 1 }: ModelOptions) {
  const all = Promise.withResolvers<void>();
  let met = 0;
  const meeting = async () => {
    met += 1;
    if (met >= meet) all.resolve();
    const patience = setTimeout(() => all.resolve(), 120_000);
    await all.promise;
    clearTimeout(patience);
  };
  const { url } = await startRawModel(async (request): Promise<RawReply> => {
    if (request.path.includes("count_tokens")) return { status: 200, body: { input_tokens: 1_000 } };
    const stage = /stage: ([a-z-]+)/.exec(JSON.stringify(request.body.system ?? ""))?.[1];
    if (stage === "analyse-issue")
      return analysis({ title: "show twenty entries on one page", ...(story === "question" && unclear) });
    if (turnOf(request) > 0) return { message: { content: "The limit is 20 now, and the test says so." } };
    await meeting();
    return { message: { content: edits } };
  });
  return { ready: { url } };
}

function turnOf(request: RawRequest): number {
  return (request.body.messages as { role: string }[]).filter(({ role }) => role === "assistant").length;
}

const unclear = { doable: "needs-answers", openQuestions: ["Is 20 meant for every list?"] };
const edits = [edit("src/limits.js", "pageLimit = 10", "pageLimit = 20"), edit("test/limits.sh", "= 10", "= 20")];

function edit(file_path: string, old_string: string, new_string: string) {
  return {
    type: "tool_use",
    id: `toolu_${file_path}`.replaceAll(/\W/g, "_"),
    name: "edit",
    input: { file_path, old_string, new_string },
  };
}

if (import.meta.main) serve(start);
