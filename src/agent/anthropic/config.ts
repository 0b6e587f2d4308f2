import type { CallSettings } from "../loop/create-model-on.ts";

/** Where and how a Claude model, or one behind a compatible server, is called. */
export interface AnthropicConfig extends CallSettings {
  provider: "anthropic" | "bedrock" | "vertex";
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
}
