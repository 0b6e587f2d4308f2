import { isLoopback } from "../config/channels.ts";
import type { Channel, Sending } from "./channel.ts";
import type { Notice } from "./notice.ts";

export interface EmailSettings {
  url: string;
  user?: string | undefined;
  password?: string | undefined;
  from: string;
  to: string[];
}

const timeoutMs = 10_000;

/**
 * Mail through an SMTP server, by TLS unless the server is this machine. A mail is plain text, so that nothing in it is
 * markup. Its Message-ID comes from the key: mail programs show a mail that was sent twice once.
 */
export function createEmailChannel({ url, user, password, from, to }: EmailSettings): Channel {
  const server = new URL(url);
  const secure = server.protocol === "smtps:";
  const options = {
    host: server.hostname.replace(/^\[|\]$/g, ""),
    port: server.port === "" ? (secure ? 465 : 587) : Number(server.port),
    secure,
    // This machine's own server may speak without TLS; with every other one, a mail that cannot be encrypted is not sent.
    ...(secure || !isLoopback(server) ? { requireTLS: !secure } : { ignoreTLS: true }),
    auth: user === undefined ? undefined : { user, pass: password },
    tls: { minVersion: "TLSv1.2" as const },
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  };
  return {
    kind: "email",
    async send(notice, { key, filedAt, signal }) {
      // Loaded where it is used: most workers send no mail.
      const { createTransport } = await import("nodemailer");
      const transport = createTransport(options);
      try {
        const { rejected } = await transport.sendMail({
          // Addresses as objects are not parsed, so that no name or address can become two.
          from: { name: "Millwright", address: from },
          to: to.map((address) => ({ name: "", address })),
          subject: `[${notice.repository}] ${notice.title}`,
          text: mailText(notice),
          messageId: `<${key}@${from.slice(from.lastIndexOf("@") + 1)}>`,
          date: filedAt,
          // No out-of-office replies. https://www.rfc-editor.org/rfc/rfc3834#section-5
          headers: { "Auto-Submitted": "auto-generated" },
          signal,
        });
        return rejected.length === 0 ? { kind: "sent" } : { kind: "sent", remark: refusedFor(rejected.length, to) };
      } catch (error) {
        return failureOf(error as Error & { responseCode?: number });
      } finally {
        transport.close();
      }
    },
  };
}

/** The notice as plain text. */
function mailText({ facts, repository, text, title, url }: Notice): string {
  return [
    `${title} (${repository})`,
    url,
    facts.map(({ name, value }) => `${name}: ${value}`).join("\n"),
    text,
    "-- \nSent by Millwright.",
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

/** Those who got the mail would get it again, so it is not repeated for the others. */
function refusedFor(count: number, to: string[]): string {
  return `the server refused the mail for ${count} of ${to.length} recipients`;
}

/** A server's 5yz is its last word. https://www.rfc-editor.org/rfc/rfc5321#section-4.2.1 */
function failureOf(error: Error & { responseCode?: number }): Sending {
  const why = error.message.replace(/\s+/g, " ");
  return { kind: (error.responseCode ?? 0) >= 500 ? "failed" : "retry", why };
}
