import type { Redactor } from "../../policy/redact.ts";
import type { PriceOverrides } from "../prices.ts";

/** Where and how a Claude model, or one behind a compatible server, is called. */
export interface AnthropicConfig {
  provider: "anthropic" | "bedrock" | "vertex";
  /** The model's name as the provider writes it. */
  model: string;
  /** Another address of the same protocol: a gateway or a local server. */
  baseUrl?: string | undefined;
  /** Key of the Anthropic API; with Bedrock its bearer key, with Vertex an access token. Without one, the clouds' own credential chains are used. */
  apiKey?: string | undefined;
  /** Bedrock only: fixed credentials instead of the AWS chain. */
  awsCredentials?: { accessKeyId: string; secretAccessKey: string; sessionToken?: string } | undefined;
  /** Region of Bedrock or Vertex. */
  region?: string | undefined;
  /** Project of Vertex. */
  projectId?: string | undefined;
  /** Most tokens of one answer; lowered to what the model can do. */
  maxOutputTokens: number;
  /** Sent only to models that take one. 0 by default. */
  temperature?: number | undefined;
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
}
