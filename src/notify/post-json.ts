import type { Sending } from "./channel.ts";

/** What of an answer is kept as the reason of a failure. */
const maxReasonBytes = 300;

/**
 * Posts JSON and says what the answer means. Redirects are not followed: they would lead to addresses that the operator did
 * not choose. Throws when there is no answer.
 */
export async function postJson(
  url: string,
  body: string,
  { headers = {}, signal }: { headers?: Record<string, string>; signal: AbortSignal },
): Promise<Sending> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", "user-agent": "millwright", ...headers },
    body,
    redirect: "manual",
    signal,
  });
  const { status } = response;
  if (response.ok) {
    await response.body?.cancel();
    return { kind: "sent" };
  }
  const why = `HTTP ${status} ${await beginning(response)}`.trim();
  if (status >= 300 && status < 400) return { kind: "failed", why: `HTTP ${status}: redirects are not followed` };
  // 408 and 425 ask for the same request again. https://www.rfc-editor.org/rfc/rfc9110#section-15.5.9
  if (status === 408 || status === 425 || status === 429 || status >= 500)
    return { kind: "retry", why, afterSeconds: retryAfter(response.headers.get("retry-after")) };
  return { kind: "failed", why };
}

/** Seconds that `Retry-After` asks to wait: a number or a date. https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3 */
function retryAfter(value: string | null): number | undefined {
  if (value === null) return undefined;
  const seconds = /^\d+$/.test(value.trim()) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, Math.ceil(seconds)) : undefined;
}

/** The first bytes of an answer as one line; the rest is not read. */
async function beginning(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes >= maxReasonBytes) break;
  }
  const text = Buffer.concat(chunks).subarray(0, maxReasonBytes).toString("utf8");
  return text.replace(/[\s\p{Cc}\uFFFD]+/gu, " ").trim();
}
