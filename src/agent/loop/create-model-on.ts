import type { Effort, ModelSettings } from "../../config/models.ts";
import type { Redactor } from "../../policy/redact.ts";
import { factsOf, type ModelFacts } from "../known-models.ts";
import type { Model } from "../model.ts";
import { type PriceOverrides, priceOf } from "../prices.ts";
import { askForObject } from "./object.ts";
import type { Session } from "./session.ts";
import { withWholeFiles } from "./whole-files.ts";
import type { Wire } from "./wire.ts";
import { work } from "./work.ts";

/** Longer conversations are pruned even where the model could hold them: every turn pays for the whole of it. */
const usualWindowTokens = 200_000;

const cachingInWords: Record<ModelFacts["caching"], string> = {
  marked: "marked by Millwright",
  automatic: "by the provider alone",
  unknown: "unknown",
};

/** How a model is called, whoever provides it. */
export interface CallSettings {
  /** The model's name as the provider writes it. */
  model: string;
  /** Most tokens of one answer; lowered to what the model can do. */
  maxOutputTokens: number;
  /** Sent only to models that take one. 0 by default. */
  temperature?: number | undefined;
  effort?: Effort | undefined;
  /** What the operator says about the model, before what is known of it. */
  facts?: Partial<ModelFacts> | undefined;
  prices?: PriceOverrides | undefined;
  /** Overrides the window that is used, which is the model's own but at most 200,000 tokens. */
  contextWindowTokens?: number | undefined;
  /** A stream that sends nothing for so long is given up. 120 by default. */
  idleTimeoutSeconds?: number | undefined;
  /** How long after the budget's deadline a call that is under way may still take. 20 by default. */
  graceSeconds?: number | undefined;
  fetch?: typeof globalThis.fetch | undefined;
  /** Replaces known secrets in tool results and error messages. */
  redactor?: Pick<Redactor, "redact"> | undefined;
  /** Names of the settings, for messages to the operator. */
  settings?: ModelSettings | undefined;
}

/** A model that works by `createWire`, with the budget, the repairs and the tools that all providers share. */
export function createModelOn(provider: string, config: CallSettings, createWire: (facts: ModelFacts) => Wire): Model {
  const { known: factsAreKnown, ...facts } = factsOf(config.model, config.facts);
  const { price, known: priceIsKnown } = priceOf(config.model, config.prices);
  const windowTokens = config.contextWindowTokens ?? Math.min(facts.contextWindowTokens, usualWindowTokens);
  const maxOutputTokens = Math.min(config.maxOutputTokens, facts.maxOutputTokens, Math.floor(windowTokens / 2));
  if (!(maxOutputTokens > 0))
    throw new Error(
      `Cannot use the model ${config.model}: most output tokens must be positive, not ${config.maxOutputTokens}`,
    );
  const session: Session = {
    provider,
    model: config.model,
    wire: withWholeFiles(createWire(facts), facts),
    facts,
    price,
    windowTokens,
    maxOutputTokens,
    graceSeconds: config.graceSeconds ?? 20,
    redactor: config.redactor,
    heard: { answered: false, pages: 0 },
  };
  return {
    id: `${provider}/${config.model}`,
    contextWindowTokens: windowTokens,
    priceIsKnown,
    warnings: [
      ...(factsAreKnown || config.contextWindowTokens !== undefined
        ? []
        : [
            `The model ${config.model} is not known: it is taken for one with ${windowTokens} tokens, of which an answer has at most ${maxOutputTokens}`,
          ]),
      ...(priceIsKnown ? [] : [`The model ${config.model} has no known price: the dearest one is charged`]),
    ],
    abilities() {
      const { structuredOutput, tools } = session.wire.abilities();
      return {
        structuredOutput: structuredOutput ? "held to the schema by the provider" : "the schema is told in words",
        tools: tools ? "called by the provider's protocol" : "told in words, with whole files",
        caching: cachingInWords[facts.caching],
      };
    },
    object: (request) => askForObject(session, request),
    work: (request) => work(session, request),
  };
}
