import type { Effort, ModelsConfig, ModelUse } from "../config/models.ts";
import type { Redactor } from "../policy/redact.ts";
import { createModel } from "./create-model.ts";
import type { CallSettings } from "./loop/create-model-on.ts";
import type { ForPeople, Model } from "./model.ts";
import { type Candidate, createRoutedModel, notAllowed } from "./routed-model.ts";

/** A step of a pipeline, by its names. */
export interface Place {
  pipeline: string;
  step: string;
}

/** Every model that the operator configured, and which step asks which. */
export interface Models {
  /** The model of a step, with its fallbacks and its effort. */
  of(place: Place): Model;
  /** Why a pipeline may not begin in a repository that allows these models alone, or undefined when it may. */
  whyNot(pipeline: string, allowed: readonly string[] | undefined): ForPeople | undefined;
  /** What an operator should know about the models that are used. */
  warnings: readonly string[];
}

export interface ModelsOptions extends Pick<CallSettings, "fetch"> {
  redactor?: Pick<Redactor, "redact"> | undefined;
  /** The names of all pipelines, to tell them from steps. */
  pipelines?: readonly string[];
  /** Put around every model, such as what counts its calls. */
  wrap?: (model: Model) => Model;
}

/**
 * Creates every configured model. Throws when one of them lacks credentials or settings, so that a mistake is found at start and
 * not in the first run that needs it; no request is made.
 */
export function createModels(config: ModelsConfig, options: ModelsOptions = {}): Models {
  const { redactor, wrap = (model) => model, fetch, pipelines = [] } = options;
  const made = new Map<string, Candidate>();
  const candidate = (name: string, effort: Effort | undefined): Candidate => {
    const key = `${name} ${effort ?? ""}`;
    const own = config.named[name];
    if (own === undefined) throw new Error(`There is no model "${name}" (MILLWRIGHT_MODELS)`);
    const found = made.get(key) ?? {
      names: [name, own.name, own.provider, `${own.provider}/${own.name}`],
      model: wrap(createModel(own, redactor, { fetch, effort })),
    };
    made.set(key, found);
    return found;
  };
  const routed = new Map<string, Model>();
  const chainOf = (use: ModelUse): Candidate[] =>
    [...new Set([use.model ?? "default", ...(use.fallback ?? [])])].map((name) => candidate(name, use.effort));
  const all = [{}, ...Object.values(config.use)].flatMap((use) => chainOf({ ...config.use["default"], ...use }));
  /** What one step packs, another one sends: so all steps of a pipeline count with the smallest window of them. */
  const windowOf = (pipeline: string): number => {
    const places = ["default", ...Object.keys(config.use)].filter((key) => {
      const first = key.split("/")[0]!;
      return first === pipeline || !pipelines.includes(first);
    });
    const chains = places.map((key) => {
      const [first, second] = key.split("/") as [string, string | undefined];
      return chainOf(useOf(config, { pipeline, step: second ?? first }));
    });
    return Math.min(...chains.flat().map(({ model }) => model.contextWindowTokens));
  };
  return {
    of(place) {
      const use = useOf(config, place);
      const key = JSON.stringify([place.pipeline, use]);
      const found = routed.get(key) ?? {
        ...createRoutedModel(chainOf(use)),
        contextWindowTokens: windowOf(place.pipeline),
      };
      routed.set(key, found);
      return found;
    },
    whyNot(pipeline, allowed) {
      const uses = Object.keys(config.use).flatMap((key) => {
        const [name, step] = key.split("/");
        return name === pipeline && step !== undefined ? [useOf(config, { pipeline, step })] : [];
      });
      for (const use of [useOf(config, { pipeline, step: "" }), ...uses]) {
        const why = notAllowed(chainOf(use)[0]!, allowed);
        if (why !== undefined) return why;
      }
      return undefined;
    },
    warnings: [...new Set(all.flatMap(({ model }) => model.warnings ?? []))],
  };
}

/** What is set for a step: the most exact place first, setting by setting. */
function useOf({ use }: ModelsConfig, { pipeline, step }: Place): ModelUse {
  return { ...use["default"], ...use[pipeline], ...use[step], ...use[`${pipeline}/${step}`] };
}

/**
 * Why `use` names a place that is none, or undefined when every one is a pipeline, a step or both: a typing mistake would leave a
 * step with the usual model without a word.
 */
export function unknownPlace(
  config: ModelsConfig,
  known: { pipelines: readonly string[]; steps: readonly string[] },
): string | undefined {
  for (const key of Object.keys(config.use)) {
    const [first, second, ...more] = key.split("/");
    const isPlace =
      second === undefined
        ? key === "default" || known.pipelines.includes(key) || known.steps.includes(key)
        : known.pipelines.includes(first!) && known.steps.includes(second) && more.length === 0;
    if (!isPlace)
      return `MILLWRIGHT_MODELS: use.${key}: is no pipeline (${known.pipelines.join(", ")}), no step, and no <pipeline>/<step>`;
  }
  return undefined;
}
