import { describe, expect, test } from "vitest";
import { z } from "zod";
import {
  type Budget,
  type Model,
  ModelRefusedError,
  TransientModelError,
  type Usage,
  type WorkRequest,
} from "../../src/agent/model.ts";
import { type Candidate, createRoutedModel } from "../../src/agent/routed-model.ts";
import { budget, prompt, workRequest } from "./support.ts";

type Act = "answer" | "overloaded" | "refused" | "wrong-key" | "invalid" | "overflow";

const one: Usage = {
  calls: 1,
  inputTokens: 100,
  outputTokens: 10,
  cacheReadTokens: 5,
  cacheWriteTokens: 5,
  costUsd: 0.5,
};
const call = { provider: "p", model: "m", prompt: "x", promptVersion: "1", ...one, durationMs: 1, ending: "e" };

/** A model that does what the script says, one act for each time that it is asked, the last one again and again. */
function candidate(name: string, ...script: Act[]) {
  const asked: { budget: Budget; transcript?: unknown[] | undefined }[] = [];
  const act = async (request: Pick<WorkRequest, "budget" | "record" | "transcript">) => {
    asked.push({ budget: request.budget, transcript: request.transcript });
    const now = script[Math.min(asked.length, script.length) - 1]!;
    if (now === "wrong-key") throw new ModelRefusedError("no", { reason: "wrong key", advice: "" });
    await request.record(call);
    if (now === "overloaded")
      throw new TransientModelError(`${name} is overloaded`, 30, { reason: "overloaded", advice: "" });
    return now;
  };
  const model: Model = {
    id: `p/${name}`,
    contextWindowTokens: 1,
    async object(request) {
      const now = await act(request);
      if (now === "refused") return { kind: "refused", message: "no", usage: one };
      if (now === "overflow") return { kind: "context-overflow", message: "no", usage: one };
      if (now === "invalid") return { kind: "invalid-answer", message: "no", usage: one };
      return { kind: "answer", value: name as never, usage: one };
    },
    async work(request) {
      await request.onTurn({
        transcript: [
          ...(request.transcript ?? [{ role: "user", content: "go" }]),
          { role: "assistant", content: [{ type: "thinking" }, { type: "text", text: name }] },
        ],
        usage: one,
        text: "",
        toolCalls: [],
      });
      await act(request);
      return { kind: "done", text: name, usage: one };
    },
  };
  return { candidate: { names: [name, "p", `p/${name}`], model } satisfies Candidate, asked };
}

const ask = (model: Model, part: { allowedModels?: string[]; budget?: Budget } = {}) =>
  model.object({
    prompt: { ...prompt, allowedModels: part.allowedModels },
    schema: z.any(),
    budget: part.budget ?? budget(),
    signal: new AbortController().signal,
    record: async () => undefined,
  });

describe("createRoutedModel", () => {
  test("createRoutedModel asks the next model when one is overloaded, with what is left of the budget", async () => {
    const first = candidate("a", "overloaded");
    const second = candidate("b", "answer");
    const model = createRoutedModel([first.candidate, second.candidate]);
    const limits = budget({ turns: 5, inputTokens: 1_000, outputTokens: 100, costUsd: 3 });
    const answer = await ask(model, { budget: limits });
    expect(answer).toMatchObject({ kind: "answer", value: "b", usage: { calls: 2, costUsd: 1, inputTokens: 200 } });
    expect(second.asked[0]!.budget).toEqual({ ...limits, turns: 4, inputTokens: 890, outputTokens: 90, costUsd: 2.5 });
    // The first one is not asked again before its pause is over.
    await ask(model);
    expect([first.asked.length, second.asked.length]).toEqual([1, 2]);
  });

  test.each([
    ["refused", "refused"],
    ["invalid", "invalid-answer"],
  ] as const)("createRoutedModel asks nobody else after an answer that is %s", async (act, kind) => {
    const second = candidate("b", "answer");
    const model = createRoutedModel([candidate("a", act).candidate, second.candidate]);
    expect((await ask(model)).kind).toBe(kind);
    expect(second.asked).toHaveLength(0);
  });

  test("createRoutedModel asks nobody else when a setting is wrong", async () => {
    const second = candidate("b", "answer");
    const model = createRoutedModel([candidate("a", "wrong-key").candidate, second.candidate]);
    await expect(ask(model)).rejects.toThrow(ModelRefusedError);
    expect(second.asked).toHaveLength(0);
  });

  test("createRoutedModel is transient when all are, and asks all again", async () => {
    const first = candidate("a", "overloaded", "answer");
    const second = candidate("b", "overloaded");
    const model = createRoutedModel([first.candidate, second.candidate]);
    await expect(ask(model)).rejects.toThrow(TransientModelError);
    expect(await ask(model)).toMatchObject({ value: "a" });
  });

  test.each(["overflow", "wrong-key"] as const)(
    "createRoutedModel leaves the work to the first model when one that stands in ends with %s",
    async (act) => {
      const first = candidate("a", "overloaded", "overloaded", "answer");
      const model = createRoutedModel([first.candidate, candidate("b", act).candidate]);
      await expect(ask(model)).rejects.toThrow("a is overloaded");
      // It rests, so the other one comes first, and then it is asked all the same.
      await expect(ask(model)).rejects.toThrow("a is overloaded");
      expect(await ask(model)).toMatchObject({ value: "a" });
    },
  );

  test("createRoutedModel ends with what the first model itself says", async () => {
    const second = candidate("b", "answer");
    const model = createRoutedModel([candidate("a", "overflow").candidate, second.candidate]);
    expect((await ask(model)).kind).toBe("context-overflow");
    expect(second.asked).toHaveLength(0);
  });

  test("createRoutedModel goes on from the last saved turn, without what the first model thought", async () => {
    const first = candidate("a", "overloaded");
    const second = candidate("b", "answer");
    const request = workRequest("/nowhere");
    const result = await createRoutedModel([first.candidate, second.candidate]).work(request);
    expect(result).toMatchObject({ kind: "done", text: "b", usage: { calls: 2 } });
    expect(second.asked[0]!.transcript).toEqual([
      { role: "user", content: "go" },
      { role: "assistant", content: [{ type: "text", text: "a" }] },
    ]);
    expect(request.turns.map((turn) => turn.usage.calls)).toEqual([1, 2]);
    expect(request.calls).toHaveLength(2);
  });

  test("createRoutedModel sends nothing to a model that the repository does not allow", async () => {
    const first = candidate("a", "overloaded");
    const second = candidate("b", "answer");
    const third = candidate("c", "answer");
    const model = createRoutedModel([first.candidate, second.candidate, third.candidate]);
    const error = await ask(model, { allowedModels: ["b", "other"] }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ModelRefusedError);
    expect((error as ModelRefusedError).forPeople.reason).toContain(
      "allows b, other alone (models.allowed in .github/millwright.yml)",
    );
    expect([first.asked, second.asked, third.asked].flat()).toHaveLength(0);
    // Of the fallbacks those that are allowed are asked.
    expect(await ask(model, { allowedModels: ["p/a", "c"] })).toMatchObject({ value: "c" });
    expect(second.asked).toHaveLength(0);
  });
});
