import OpenAI from "openai";
import { watchedFetch } from "../loop/watched-fetch.ts";
import type { OpenAiConfig } from "./config.ts";

/**
 * OpenAI's own client. It never retries by itself, because a pause belongs to the queue, and gets every address and key from the
 * configuration.
 */
export function createClient(config: OpenAiConfig): OpenAI {
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
