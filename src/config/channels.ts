import { z } from "zod";

/** Names of channels, as repositories say them. `github` is none of the operator's: the pipeline itself speaks there. */
const channelName = /^[a-z0-9][a-z0-9-]{0,39}$/;

const loopback = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** Whether an address names this machine itself, where nothing is sent over a network. */
export function isLoopback(url: URL): boolean {
  return loopback.test(url.hostname);
}

/** An address where notices are posted: by HTTPS, or to this machine. Private networks are the operator's choice. */
const webhookUrl = address(
  (url) => url.protocol === "https:" || (url.protocol === "http:" && isLoopback(url)),
  "must be an https address (http only to this machine)",
);

/** `smtps` is TLS from the first byte, `smtp` is TLS by STARTTLS, which is demanded of everything but this machine itself. */
const mailServerUrl = address(
  (url) => (url.protocol === "smtps:" || url.protocol === "smtp:") && url.hostname !== "" && url.pathname.length <= 1,
  "must be smtps://host:port, or smtp://host:port for STARTTLS",
);

function address(isRight: (url: URL) => boolean, rule: string) {
  return z.string().superRefine((text, ctx) => {
    const url = URL.parse(text);
    // What fetch and mail servers would be told in an address has fields of its own, which the log never shows.
    if (url === null || !isRight(url)) ctx.addIssue({ code: "custom", message: rule });
    else if (url.username !== "" || url.password !== "" || url.hash !== "")
      ctx.addIssue({ code: "custom", message: "must hold no user, no password and no fragment" });
  });
}

/** https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#signature-scheme */
const signingSecret = z.string().refine((text) => {
  const bytes = signingKey(text)?.length ?? 0;
  return bytes >= 24 && bytes <= 64;
}, "must be whsec_ and base64 of 24 to 64 random bytes");

/** The bytes of a secret of Standard Webhooks; undefined when it is none. */
export function signingKey(secret: string): Buffer | undefined {
  const base64 = /^whsec_((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)$/.exec(secret)?.[1];
  return base64 === undefined ? undefined : Buffer.from(base64, "base64");
}

const accounts = z.array(z.string().min(1)).min(1).optional();

const ChannelConfig = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("slack"), url: webhookUrl, accounts }),
  z.strictObject({ kind: z.literal("teams"), url: webhookUrl, accounts }),
  z.strictObject({
    kind: z.literal("webhook"),
    url: webhookUrl,
    /** Two while one is rotated: the receiver takes either signature. */
    secret: z.union([signingSecret.transform((one) => [one]), z.array(signingSecret).min(1).max(2)], {
      error: "must be whsec_ and base64 of 24 to 64 random bytes, or a list of two",
    }),
    accounts,
  }),
  z
    .strictObject({
      kind: z.literal("email"),
      url: mailServerUrl,
      user: z.string().min(1).optional(),
      password: z.string().min(1).optional(),
      from: z.email(),
      to: z.array(z.email()).min(1).max(20),
      accounts,
    })
    .refine(({ user, password }) => (user === undefined) === (password === undefined), {
      error: "user and password belong together",
    }),
]);
/** One channel of the operator; `accounts` are the owners that may use it, all that are served when absent. */
export type ChannelConfig = z.infer<typeof ChannelConfig>;

const Channels = z.record(z.string().regex(channelName, "a name has small letters, digits and dashes"), ChannelConfig);

/** The channels in `MILLWRIGHT_CHANNELS`. What is wrong is said by path and rule, never with a value: values are secrets. */
export const ChannelsSetting = z.string().transform((text, ctx): Record<string, ChannelConfig> => {
  const wrong = (message: string) => {
    ctx.addIssue({ code: "custom", message });
    return z.NEVER;
  };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // The parser's own message shows a part of the text.
    return wrong("must be JSON: an object of channels by name");
  }
  const parsed = Channels.safeParse(json);
  if (!parsed.success) {
    return wrong(parsed.error.issues.map(explained).join("; "));
  }
  if (Object.hasOwn(parsed.data, "github")) return wrong("github is always there and needs no settings");
  return parsed.data;
});

function explained(issue: z.core.$ZodIssue): string {
  const message = issue.code === "invalid_key" ? (issue.issues[0]?.message ?? issue.message) : issue.message;
  return `${issue.path.join(".") || "it"}: ${message}`;
}

/**
 * What of a channel must never be shown. An incoming webhook of Slack and Teams is known by its address alone: the address
 * and the parts of it that look random. Other parts are ordinary words, which stand in repositories for other reasons.
 */
export function secretsOf(channel: ChannelConfig): string[] {
  const own =
    channel.kind === "webhook"
      ? channel.secret.flatMap((secret) => [secret, secret.slice("whsec_".length)])
      : channel.kind === "email" && channel.password !== undefined
        ? [channel.password]
        : [];
  if (channel.kind === "email") return own;
  const url = new URL(channel.url);
  const parts = [...url.pathname.split("/"), ...url.searchParams.values()].filter(
    (part) => part.length >= 16 && /\d/.test(part) && /[a-z]/i.test(part),
  );
  return [...own, ...(url.pathname.length + url.search.length > 1 ? [channel.url, url.href] : []), ...parts];
}
