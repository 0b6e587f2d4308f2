import { AnthropicBedrock } from "@anthropic-ai/bedrock-sdk";
import Anthropic from "@anthropic-ai/sdk";
import type { BaseAnthropic } from "@anthropic-ai/sdk/client";
import { AnthropicVertex } from "@anthropic-ai/vertex-sdk";
import { watchedFetch } from "../loop/watched-fetch.ts";
import type { AnthropicConfig } from "./config.ts";

/** What the three clients have in common, as far as it is used here. */
export interface Client {
  messages: Pick<Anthropic["messages"], "create" | "stream">;
  beta: { messages: Pick<Anthropic["beta"]["messages"], "toolRunner"> };
  /** Not there where the provider cannot count. */
  countTokens: Anthropic["beta"]["messages"]["countTokens"] | undefined;
}

/**
 * The provider's own client. It never retries by itself: a pause belongs to the queue, and the SDK would obey a
 * `retry-after` of days. Nothing is read from ANTHROPIC_* variables. Throws when credentials that are needed are missing.
 */
export function createClient(config: AnthropicConfig): Client {
  const shared = {
    maxRetries: 0,
    // Whatever goes wrong is thrown; the SDK would write to the console beside our own log.
    logLevel: "off" as const,
    fetch: watchedFetch((config.idleTimeoutSeconds ?? 120) * 1000, config.fetch),
    ...(config.baseUrl === undefined ? {} : { baseURL: config.baseUrl }),
  };
  switch (config.provider) {
    case "anthropic": {
      if (config.apiKey === undefined && config.baseUrl === undefined) {
        throw new Error(
          "Cannot call the Anthropic API: no key is configured (ANTHROPIC_API_KEY, from https://console.anthropic.com/settings/keys)",
        );
      }
      const client = new Anthropic({
        ...shared,
        baseURL: config.baseUrl ?? "https://api.anthropic.com",
        // A compatible server on one's own machine often wants no key, but the SDK looks for one elsewhere without it.
        apiKey: config.apiKey ?? "none",
        authToken: null,
      });
      return adapt(client, client.beta.messages.countTokens.bind(client.beta.messages));
    }
    case "bedrock": {
      const keys = config.awsCredentials;
      const client = new AnthropicBedrock({
        ...shared,
        ...(config.region === undefined ? {} : { awsRegion: config.region }),
        ...(config.apiKey === undefined ? {} : { apiKey: config.apiKey }),
        ...(keys === undefined ? {} : { apiKey: null, providerChainResolver: async () => async () => keys }),
      });
      return adapt(client, undefined);
    }
    case "vertex": {
      if (config.region === undefined)
        throw new Error("Cannot call Vertex AI: no region is configured (CLOUD_ML_REGION)");
      const { region } = config;
      // The client looks for Google's credentials as soon as it is made, and a failure that nobody awaits ends the process.
      let made: AnthropicVertex | undefined;
      const client = () => {
        made ??= new AnthropicVertex({
          ...shared,
          region,
          ...(config.projectId === undefined ? {} : { projectId: config.projectId }),
          ...(config.apiKey === undefined ? {} : { authClient: fixedToken(config.apiKey) }),
        });
        return adapt(made, made.beta.messages.countTokens.bind(made.beta.messages));
      };
      return {
        get messages() {
          return client().messages;
        },
        get beta() {
          return client().beta;
        },
        get countTokens() {
          return client().countTokens;
        },
      };
    }
  }
}

function adapt(
  client: BaseAnthropic & { messages: unknown; beta: { messages: unknown } },
  countTokens: Client["countTokens"],
): Client {
  return {
    messages: client.messages as Client["messages"],
    beta: client.beta as unknown as Client["beta"],
    countTokens,
  };
}

type AuthClient = NonNullable<NonNullable<ConstructorParameters<typeof AnthropicVertex>[0]>["authClient"]>;

/** An access token that somebody else keeps fresh. */
function fixedToken(token: string): AuthClient {
  return { getRequestHeaders: async () => new Headers({ authorization: `Bearer ${token}` }) } as unknown as AuthClient;
}
