import { repositoryConfigPath } from "../config/repository.ts";
import { withoutThinking } from "./loop/shrink.ts";
import type { Turn } from "./loop/transcript.ts";
import {
  type Budget,
  type CallRecord,
  type ForPeople,
  type Model,
  ModelRefusedError,
  type RecordCall,
  TransientModelError,
  type Usage,
} from "./model.ts";

/** A model of a chain, by all names that a repository may allow it by. */
export interface Candidate {
  names: readonly string[];
  model: Model;
  /** It failed, and is not asked before then where another one can be. */
  restsUntil?: number;
}

const nothing: Usage = {
  calls: 0,
  inputTokens: 0,
  outputTokens: 0,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  costUsd: 0,
};

/**
 * The first model of a chain, and the next one when it is overloaded or cannot be reached: with what is left of the same budget,
 * and in the middle of a piece of work from its last saved turn, because transcripts are the same for all. A refusal, an
 * answer that cannot be used and a setting that is wrong are no reasons to ask another one. A prompt goes to a model that its
 * repository allows, or the call is refused before anything is sent.
 */
export function createRoutedModel(chain: readonly Candidate[]): Model {
  const first = chain[0]!;
  return {
    ...first.model,
    object: (request) =>
      inTurn(chain, request, (model, budget, record) => model.object({ ...request, budget, record })),
    work(request) {
      let transcript = request.transcript;
      return inTurn(chain, request, (model, budget, record, before) =>
        model.work({
          ...request,
          budget,
          record,
          ...(transcript === undefined ? {} : { transcript }),
          async onTurn(turn) {
            // Thinking is taken back by the model that thought it alone.
            transcript = withoutThinking(turn.transcript as Turn[]);
            await request.onTurn({ ...turn, usage: sum(before, turn.usage) });
          },
        }),
      );
    },
  };
}

async function inTurn<R extends { kind: string; usage: Usage }>(
  chain: readonly Candidate[],
  request: { prompt: { allowedModels: readonly string[] | undefined }; budget: Budget; record: RecordCall },
  ask: (model: Model, budget: Budget, record: RecordCall, before: Usage) => Promise<R>,
): Promise<R> {
  const { allowedModels } = request.prompt;
  const refused = notAllowed(chain[0]!, allowedModels);
  if (refused !== undefined) throw new ModelRefusedError(refused.reason, refused);
  const allowed = chain.filter((candidate) => notAllowed(candidate, allowedModels) === undefined);
  const now = Date.now();
  const rests = ({ restsUntil = 0 }: Candidate) => restsUntil > now;
  const order = [...allowed.filter((candidate) => !rests(candidate)), ...allowed.filter(rests)];
  let used = nothing;
  const record = async (call: CallRecord) => {
    used = sum(used, { ...call, calls: 1 });
    await request.record(call);
  };
  let failure: TransientModelError | undefined;
  for (const candidate of order) {
    const before = used;
    const standsIn = candidate !== chain[0];
    try {
      const result = await ask(candidate.model, minus(request.budget, before), record, before);
      // What one that stands in cannot do for its own reasons, the model that it stands in for may.
      if (standsIn && result.kind === "context-overflow") continue;
      return { ...result, usage: sum(before, result.usage) };
    } catch (error) {
      if (standsIn && error instanceof ModelRefusedError) continue;
      if (!(error instanceof TransientModelError)) throw error;
      if (chain.length > 1) candidate.restsUntil = Date.now() + error.retryAfterSeconds * 1000;
      if (failure === undefined || error.retryAfterSeconds < failure.retryAfterSeconds) failure = error;
    }
  }
  throw failure!;
}

/** Why a repository's text may not go to a model, or undefined when it may. */
export function notAllowed(
  candidate: { names: readonly string[]; model: Pick<Model, "id"> },
  allowed: readonly string[] | undefined,
): ForPeople | undefined {
  if (allowed === undefined || candidate.names.some((name) => allowed.includes(name))) return undefined;
  return {
    reason: `This repository allows ${allowed.join(", ")} alone (models.allowed in ${repositoryConfigPath}), and this would be asked of ${candidate.model.id}.`,
    advice:
      "Next: allow that model there, or ask the operator to configure one that is allowed; then trigger the run again.",
  };
}

function minus(budget: Budget, used: Usage): Budget {
  return {
    turns: budget.turns - used.calls,
    outputTokens: budget.outputTokens - used.outputTokens,
    inputTokens: budget.inputTokens - used.inputTokens - used.cacheReadTokens - used.cacheWriteTokens,
    costUsd: budget.costUsd - used.costUsd,
    deadline: budget.deadline,
  };
}

function sum(one: Usage, other: Usage): Usage {
  return {
    calls: one.calls + other.calls,
    inputTokens: one.inputTokens + other.inputTokens,
    outputTokens: one.outputTokens + other.outputTokens,
    cacheReadTokens: one.cacheReadTokens + other.cacheReadTokens,
    cacheWriteTokens: one.cacheWriteTokens + other.cacheWriteTokens,
    costUsd: one.costUsd + other.costUsd,
  };
}
