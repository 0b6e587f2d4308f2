import OpenAI from "openai";
import { watchedFetch } from "../loop/watched-fetch.ts";
import type { OpenAiConfig } from "./config.ts";

/**
 * OpenAI's own client. It never retries by itself, because a pause belongs to the queue, and gets every address and key from the
 * configuration. Throws when what is needed is missing.
 */
export function createClient(config: OpenAiConfig): OpenAI {
  if (config.provider === "openai" && config.apiKey === undefined && config.baseUrl === undefined) {
    throw new Error(
      "Cannot call the OpenAI API: no key is configured (OPENAI_API_KEY, from https://platform.openai.com/api-keys)",
    );
  }
  if (config.provider === "openai-compatible" && config.baseUrl === undefined)
    throw new Error("Cannot call an OpenAI-compatible server: no address is configured (OPENAI_BASE_URL)");
  return new OpenAI({
    maxRetries: 0,
    logLevel: "off",
    fetch: watchedFetch((config.idleTimeoutSeconds ?? 120) * 1000, config.fetch),
    baseURL: config.baseUrl ?? "https://api.openai.com/v1",
    // A server on one's own machine often wants no key, but the SDK looks for one elsewhere without it.
    apiKey: config.apiKey ?? "none",
    adminAPIKey: null,
    organization: null,
    project: null,
    webhookSecret: null,
  });
}
