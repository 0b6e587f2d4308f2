import { expect, test } from "vitest";
import { sortAnswer } from "../../../src/agent/loop/faults.ts";
import { ModelRefusedError } from "../../../src/agent/model.ts";

const settings = { key: "THE_KEY", model: "THE_MODEL", baseUrl: "THE_ADDRESS" };
const sorted = (status: number, text: string, ...types: string[]) => {
  const fault = sortAnswer({ status, types, headers: undefined, text, cause: undefined }, settings);
  if (fault.kind !== "fatal") return fault.kind;
  expect(fault.error).toBeInstanceOf(ModelRefusedError);
  return /\((THE_\w+)\)\.$/.exec((fault.error as ModelRefusedError).forPeople.reason)?.[1] ?? "refused";
};

/** The wordings of servers, which have few codes in common. */
test.each<[status: number, text: string, type: string, sorted: string]>([
  // Anthropic, Bedrock, Vertex
  [400, "Your credit balance is too low to access the Anthropic API.", "invalid_request_error", "THE_KEY"],
  [400, "prompt is too long: 210000 tokens > 200000 maximum", "invalid_request_error", "overflow"],
  [400, "The provided model identifier is invalid.", "", "THE_MODEL"],
  [403, "You don't have access to the model with the specified model ID.", "", "THE_KEY"],
  [400, "max_tokens: 200000 > 128000, which is the maximum allowed number of output tokens", "", "refused"],
  // OpenAI
  [401, "Incorrect API key provided: sk-1.", "invalid_api_key", "THE_KEY"],
  [404, "The model `gpt-9` does not exist or you do not have access to it.", "model_not_found", "THE_MODEL"],
  [
    429,
    "You exceeded your current quota, please check your plan and billing details.",
    "insufficient_quota",
    "THE_KEY",
  ],
  [429, "Rate limit reached for gpt-6.2-sol in organization org-1 on tokens per min (TPM).", "tokens", "transient"],
  [400, "Your input exceeds the context window of this model.", "context_length_exceeded", "overflow"],
  // vLLM, Ollama, LM Studio, llama.cpp
  [400, "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens.", "", "overflow"],
  [404, "The model `x` does not exist.", "NotFoundError", "THE_MODEL"],
  [404, 'model "x" not found, try pulling it first', "api_error", "THE_MODEL"],
  [400, "the request exceeds the available context size, try increasing it", "exceed_context_size_error", "overflow"],
  // OpenRouter, DeepSeek
  [402, "Insufficient credits. Add more using https://openrouter.ai/credits", "", "THE_KEY"],
  [402, "Insufficient Balance", "", "THE_KEY"],
  [400, "x/y is not a valid model ID", "", "THE_MODEL"],
  [502, "Provider returned error", "", "transient"],
  [503, "no healthy upstream", "", "transient"],
  [409, "conflict", "", "transient"],
  [413, "Request Entity Too Large", "", "overflow"],
  [307, "", "", "THE_ADDRESS"],
  [400, "messages.1: unexpected role", "", "refused"],
])("sortAnswer sorts %i %s", (status, text, type, expected) => {
  expect(sorted(status, text, type)).toBe(expected);
});
