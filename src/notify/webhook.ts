import { createHmac } from "node:crypto";
import { signingKey } from "../config/channels.ts";
import type { Channel } from "./channel.ts";
import { postJson } from "./post-json.ts";

/**
 * A generic webhook, signed as Standard Webhooks say: `webhook-id` is the same each time that a notice is sent, and
 * `webhook-signature` has one signature for each secret.
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export function createWebhookChannel({ url, secret }: { url: string; secret: string[] }): Channel {
  return {
    kind: "webhook",
    send(notice, { key, filedAt, signal }) {
      const body = JSON.stringify({ type: "millwright.notice", timestamp: filedAt.toISOString(), data: notice });
      return postJson(url, body, { headers: signed(body, `msg_${key}`, secret), signal });
    },
  };
}

function signed(body: string, id: string, secrets: string[]): Record<string, string> {
  const timestamp = Math.floor(Date.now() / 1000);
  const signatures = secrets.map((secret) => {
    const mac = createHmac("sha256", signingKey(secret) ?? "").update(`${id}.${timestamp}.${body}`);
    return `v1,${mac.digest("base64")}`;
  });
  return { "webhook-id": id, "webhook-timestamp": String(timestamp), "webhook-signature": signatures.join(" ") };
}
