import type { ChannelConfig } from "../config/channels.ts";
import type { Channel } from "./channel.ts";
import { createEmailChannel } from "./email.ts";
import { createSlackChannel } from "./slack.ts";
import { createTeamsChannel } from "./teams.ts";
import { createWebhookChannel } from "./webhook.ts";

/** The operator's channels by name. */
export function createChannels(configs: Record<string, ChannelConfig>): Map<string, Channel> {
  return new Map(Object.entries(configs).map(([name, config]) => [name, channelOf(config)]));
}

function channelOf(config: ChannelConfig): Channel {
  switch (config.kind) {
    case "slack":
      return createSlackChannel(config);
    case "teams":
      return createTeamsChannel(config);
    case "webhook":
      return createWebhookChannel(config);
    case "email":
      return createEmailChannel(config);
  }
}
