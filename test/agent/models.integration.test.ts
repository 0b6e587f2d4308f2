import { createAnthropicModel } from "../../src/agent/anthropic/anthropic-model.ts";
import { createOpenAiModel } from "../../src/agent/openai/openai-model.ts";
import { settingsOf } from "../../src/config/models.ts";
import { chatProtocol, responsesProtocol, wordsProtocol } from "../support/openai-protocols.ts";
import type { RawReply } from "../support/scripted-model.ts";
import { modelSuite, type Provider } from "./model.testsuite.ts";

const anthropicError = (type: string, message: string) => ({ type: "error", error: { type, message } });
const openAiError = (type: string, message: string) => ({ error: { type, message, code: null, param: null } });
const strings = (value: unknown): string =>
  typeof value === "string"
    ? value
    : typeof value === "object" && value !== null
      ? Object.values(value).map(strings).join("\n")
      : "";

const anthropic = {
  error: anthropicError,
  overflow: {
    status: 400,
    body: anthropicError("invalid_request_error", "prompt is too long: 300000 tokens > 200000 maximum"),
  } satisfies RawReply,
  noCredit: {
    status: 400,
    body: anthropicError("invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
  } satisfies RawReply,
  texts: strings,
};
const openAi = {
  error: openAiError,
  overflow: {
    status: 400,
    body: {
      error: {
        message: "Your input exceeds the context window of this model.",
        type: "invalid_request_error",
        code: "context_length_exceeded",
      },
    },
  } satisfies RawReply,
  noCredit: {
    status: 429,
    headers: { "retry-after": "20" },
    body: {
      error: { message: "You exceeded your current quota.", type: "insufficient_quota", code: "insufficient_quota" },
    },
  } satisfies RawReply,
  texts: strings,
};
const usual = { maxOutputTokens: 16_000 };
const local = { facts: { structuredOutput: false as const } };

const providers: Provider[] = [
  {
    ...anthropic,
    name: "anthropic",
    settings: settingsOf("anthropic"),
    create: (baseUrl, part) =>
      createAnthropicModel({
        ...usual,
        provider: "anthropic",
        model: "claude-opus-5-5",
        baseUrl,
        apiKey: "key",
        ...part,
      }),
  },
  {
    ...anthropic,
    name: "bedrock",
    settings: settingsOf("bedrock"),
    streams: false,
    create: (baseUrl, part) =>
      createAnthropicModel({
        ...{ provider: "bedrock", model: "anthropic.claude-opus-5-5", baseUrl, region: "eu-central-1" },
        awsCredentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "not-a-secret" },
        // Short answers come in one piece; the binary stream has a test of its own.
        maxOutputTokens: 8_000,
        ...part,
      }),
  },
  {
    ...anthropic,
    name: "vertex",
    settings: settingsOf("vertex"),
    create: (baseUrl, part) =>
      createAnthropicModel({
        ...{ provider: "vertex", model: "claude-opus-5-5", baseUrl, region: "europe-west1" },
        ...{ ...usual, projectId: "demo", apiKey: "access-token", ...part },
      }),
  },
  {
    ...openAi,
    name: "openai",
    settings: settingsOf("openai"),
    protocol: responsesProtocol,
    create: (url, part) =>
      createOpenAiModel({
        ...usual,
        provider: "openai",
        model: "gpt-6.2-sol",
        baseUrl: `${url}/v1`,
        apiKey: "key",
        ...part,
      }),
  },
  {
    ...openAi,
    name: "openai-compatible",
    settings: settingsOf("openai-compatible"),
    protocol: chatProtocol,
    create: (url, part) =>
      createOpenAiModel({
        ...{ ...usual, provider: "openai-compatible", model: "qwen3-coder", baseUrl: `${url}/v1` },
        ...{ contextWindowTokens: 128_000, ...part },
      }),
  },
  {
    ...openAi,
    name: "openai-compatible without tools and structured output",
    settings: settingsOf("openai-compatible"),
    protocol: wordsProtocol,
    create: (url, part) =>
      createOpenAiModel({
        ...{ ...usual, provider: "openai-compatible", model: "small-local", baseUrl: `${url}/v1` },
        ...{ contextWindowTokens: 128_000, facts: { ...local.facts, tools: false }, ...part },
      }),
  },
];

for (const provider of providers) modelSuite(provider);
