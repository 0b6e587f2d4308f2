import type { CallSettings } from "../loop/create-model-on.ts";

/** Where and how a model of OpenAI, or one behind a compatible server, is called. */
export interface OpenAiConfig extends CallSettings {
  provider: "openai" | "openai-compatible";
  /** With `/v1` or what the server has instead, as OPENAI_BASE_URL is written everywhere. */
  baseUrl?: string | undefined;
  apiKey?: string | undefined;
  /** OpenAI's newer models call tools by the Responses API alone; other servers have Chat Completions. */
  api?: "chat" | "responses" | undefined;
}
