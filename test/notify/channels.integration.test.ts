import { execFileSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Channel, Sending } from "../../src/notify/channel.ts";
import { createChannels } from "../../src/notify/create-channels.ts";
import { createEmailChannel } from "../../src/notify/email.ts";
import { fitNotice } from "../../src/notify/notice.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { hostile, notice } from "./sample-notice.ts";

const key = "0123456789abcdef0123456789abcdef01234567";
const filedAt = new Date("2026-11-25T12:00:00Z");
const secrets = ["the first secret of 32 bytes ...", "the other secret of 32 bytes ..."].map(
  (text) => `whsec_${Buffer.from(text).toString("base64")}`,
);

function send(channel: Channel, what = notice, signal = AbortSignal.timeout(60_000)): Promise<Sending> {
  return channel.send(what, { key, filedAt, signal });
}

describe("channels over HTTP", () => {
  let receiver: Receiver;
  beforeAll(async () => {
    receiver = await startReceiver();
  });
  beforeEach(() => {
    receiver.received.length = 0;
    receiver.answers.length = 0;
  });
  afterAll(() => receiver.close());

  const channelOf = (kind: "slack" | "teams" | "webhook", path = "/hook"): Channel => {
    const url = receiver.url + path;
    const config = kind === "webhook" ? { kind, url, secret: secrets } : { kind, url };
    return createChannels({ it: config }).get("it")!;
  };

  test.each(["slack", "teams", "webhook"] as const)("create-channels posts JSON to %s", async (kind) => {
    expect(await send(channelOf(kind))).toEqual({ kind: "sent" });
    expect(receiver.received).toMatchObject([{ path: "/hook", headers: { "content-type": "application/json" } }]);
    expect(receiver.received[0]?.body).toContain(notice.title);
  });

  test("createWebhookChannel signs as Standard Webhooks say, with every secret, and keeps its id when it sends again", async () => {
    const channel = channelOf("webhook");
    await send(channel);
    await send(channel);
    const [first, second] = receiver.received;
    expect(JSON.parse(first!.body)).toEqual({
      type: "millwright.notice",
      timestamp: "2026-11-25T12:00:00.000Z",
      data: notice,
    });
    expect(second).toMatchObject({ body: first!.body, headers: { "webhook-id": `msg_${key}` } });
    for (const { body, headers } of receiver.received) {
      const id = headers["webhook-id"];
      const timestamp = headers["webhook-timestamp"];
      expect(id).toBe(`msg_${key}`);
      expect(Math.abs(Number(timestamp) - Date.now() / 1000)).toBeLessThan(300);
      const signatures = String(headers["webhook-signature"]).split(" ");
      expect(signatures).toEqual(
        secrets.map((secret) => {
          const bytes = Buffer.from(secret.replace("whsec_", ""), "base64");
          return `v1,${createHmac("sha256", bytes).update(`${id}.${timestamp}.${body}`).digest("base64")}`;
        }),
      );
    }
  });

  test.each([
    [
      { status: 429, headers: { "retry-after": "17" }, body: "rate_limited" },
      { kind: "retry", afterSeconds: 17 },
    ],
    [
      { status: 503, headers: { "retry-after": "Wed, 21 Oct 2015 07:28:00 GMT" } },
      { kind: "retry", afterSeconds: 0 },
    ],
    [
      { status: 503, headers: { "retry-after": "soon" } },
      { kind: "retry", afterSeconds: undefined },
    ],
    [
      { status: 500, body: "a\u0000\nb" },
      { kind: "retry", why: "HTTP 500 a b" },
    ],
    [{ status: 408 }, { kind: "retry" }],
    [
      { status: 400, body: "invalid_payload" },
      { kind: "failed", why: "HTTP 400 invalid_payload" },
    ],
    [
      { status: 404, body: "x".repeat(1_000_000) },
      { kind: "failed", why: `HTTP 404 ${"x".repeat(300)}` },
    ],
    [{ status: 410 }, { kind: "failed" }],
  ] as const)("postJson takes %j for %j", async (answer, result) => {
    receiver.answers.push(answer);
    expect(await send(channelOf("slack"))).toMatchObject(result);
  });

  test.each([301, 302, 307, 308])("postJson follows no redirect with status %i", async (status) => {
    receiver.answers.push({ status, headers: { location: `${receiver.url}/elsewhere` } });
    expect(await send(channelOf("webhook"))).toEqual({
      kind: "failed",
      why: `HTTP ${status}: redirects are not followed`,
    });
    expect(receiver.received.map(({ path }) => path)).toEqual(["/hook"]);
  });

  test("postJson ends a request that nobody answers when its signal does", async () => {
    receiver.answers.push("nothing");
    await expect(send(channelOf("teams"), notice, AbortSignal.timeout(100))).rejects.toThrow(/timeout/);
  });
});

/** A certificate of this machine that it signed itself. */
function makeCertificate(): { key: string; cert: string } {
  const directory = mkdtempSync(join(tmpdir(), "millwright-smtp-"));
  const [keyFile, certFile] = [join(directory, "key.pem"), join(directory, "cert.pem")];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:0.0.0.0"];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const request = ["req", "-x509", "-days", "1", ...curve, ...subject, "-keyout", keyFile, "-out", certFile];
  execFileSync("openssl", request, { stdio: "ignore" });
  const made = { key: readFileSync(keyFile, "utf8"), cert: readFileSync(certFile, "utf8") };
  rmSync(directory, { recursive: true });
  return made;
}

interface Mail {
  envelope: { from: string; to: string[] };
  secure: boolean;
  user: string | undefined;
  lines: string[];
}

describe("createEmailChannel", () => {
  const servers: SMTPServer[] = [];
  let mails: Mail[] = [];
  const logins: string[] = [];
  /** Nobody trusts it unless a test says so. */
  const certificate = makeCertificate();

  /** A mail server on loopback; returns its port. */
  async function startMail(options: SMTPServerOptions = {}): Promise<number> {
    const server = new SMTPServer({
      ...certificate,
      authOptional: true,
      onAuth({ username = "", password }, _, done) {
        logins.push(username);
        if (password === "a password") done(null, { user: username });
        else done(new Error("wrong password"));
      },
      onData(stream, session, done) {
        let text = "";
        stream.setEncoding("utf8");
        stream.on("data", (chunk: string) => {
          text += chunk;
        });
        stream.on("end", () => {
          const { mailFrom, rcptTo } = session.envelope;
          const envelope = { from: mailFrom ? mailFrom.address : "", to: rcptTo.map(({ address }) => address) };
          mails.push({ envelope, secure: session.secure, user: session.user, lines: text.split("\r\n") });
          done();
        });
      },
      ...options,
    });
    servers.push(server);
    server.on("error", () => undefined);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return (server.server.address() as AddressInfo).port;
  }

  afterEach(async () => {
    mails = [];
    logins.length = 0;
    await Promise.all(servers.splice(0).map((server) => new Promise<void>((resolve) => server.close(() => resolve()))));
  });

  const people = { from: "millwright@ci.example.com", to: ["a@example.com", "b@example.com"] };
  const plain = (port: number) => createEmailChannel({ url: `smtp://127.0.0.1:${port}`, ...people });

  /** Header lines, each with what it goes on with. */
  function headersOf({ lines }: Mail): string[] {
    return lines
      .slice(0, lines.indexOf(""))
      .join("\r\n")
      .replace(/\r\n[ \t]+/g, " ")
      .split("\r\n");
  }

  test("createEmailChannel sends plain text, to all at once, and the same mail when it sends again", async () => {
    const port = await startMail();
    expect(await send(plain(port))).toEqual({ kind: "sent" });
    expect(await send(plain(port))).toEqual({ kind: "sent" });
    const [first, second] = mails;
    expect(second).toEqual(first);
    expect(first).toMatchObject({ envelope: people, secure: false });
    expect(headersOf(first!)).toEqual(
      expect.arrayContaining([
        "From: Millwright <millwright@ci.example.com>",
        "To: a@example.com, b@example.com",
        "Subject: [acme/mill] The check test fails on pull request 7",
        `Message-ID: <${key}@ci.example.com>`,
        "Date: Wed, 25 Nov 2026 12:00:00 +0000",
        "Auto-Submitted: auto-generated",
      ]),
    );
    expect(headersOf(first!).filter((line) => /^content-type:/i.test(line))).toEqual([
      "Content-Type: text/plain; charset=utf-8",
    ]);
    expect(first?.lines.join("\n")).toContain(`${notice.url}\n\nCheck: test\nCommit: 0123456789`);
  });

  test("createEmailChannel lets no text become a header, a recipient, an address to load or markup", async () => {
    const port = await startMail();
    const injection = `x\r\nBcc: c@example.com\r\n\r\n.\r\nMAIL FROM:<d@example.com>\r\n${hostile}`;
    const raw = { ...notice, title: injection, repository: injection, text: injection };
    for (const what of [raw, fitNotice(raw)]) {
      expect(await send(plain(port), what)).toEqual({ kind: "sent" });
      const mail = mails.at(-1)!;
      expect(mail.envelope).toEqual(people);
      const names = headersOf(mail).map((line) => line.slice(0, line.indexOf(":")).toLowerCase());
      expect(names.toSorted()).toEqual([
        ...["auto-submitted", "content-transfer-encoding", "content-type", "date", "from", "message-id"],
        ...["mime-version", "subject", "to"],
      ]);
      expect(headersOf(mail).join("\n")).toMatch(/^content-type: text\/plain; charset=utf-8$/im);
    }
    expect(mails).toHaveLength(2);
  });

  test("createEmailChannel tells a refusal for good from one that may pass", async () => {
    const refusing = (code: number) =>
      startMail({
        onMailFrom: (_, __, done) => done(Object.assign(new Error("not now"), { responseCode: code })),
      });
    expect(await send(plain(await refusing(451)))).toMatchObject({
      kind: "retry",
      why: expect.stringContaining("451"),
    });
    expect(await send(plain(await refusing(550)))).toMatchObject({
      kind: "failed",
      why: expect.stringContaining("550"),
    });
    const choosy = await startMail({
      onRcptTo: ({ address }, _, done) => done(address.startsWith("a@") ? new Error("unknown") : null),
    });
    expect(await send(plain(choosy))).toEqual({
      kind: "sent",
      remark: "the server refused the mail for 1 of 2 recipients",
    });
    expect(await send(plain(1))).toMatchObject({ kind: "retry" });
    expect(mails.map(({ envelope }) => envelope.to)).toEqual([["b@example.com"]]);
  });

  test("createEmailChannel ends with its signal when the server says nothing", async () => {
    const hanging = await startMail({ onConnect: () => undefined });
    const result = await send(plain(hanging), notice, AbortSignal.timeout(200));
    expect(result).toMatchObject({ kind: "retry" });
  });

  // 0.0.0.0 leads to this machine and is not one of its names.
  test("createEmailChannel sends nothing, and no password, without TLS that it can verify", async () => {
    const auth = { user: "ci", password: "a password" };
    const without = await startMail({ disabledCommands: ["STARTTLS"] });
    const unknown = await startMail();
    const secure = await startMail({ secure: true });
    const urls = { STARTTLS: `smtp://0.0.0.0:${without}`, certificate: `smtp://0.0.0.0:${unknown}` };
    for (const [why, url] of Object.entries({ ...urls, "self-signed": `smtps://127.0.0.1:${secure}` })) {
      const result = await send(createEmailChannel({ url, ...auth, ...people }));
      expect(result.kind).not.toBe("sent");
      expect(result).toMatchObject({ why: expect.stringContaining(why) });
    }
    expect(logins).toEqual([]);
    expect(mails).toEqual([]);
  });

  test("createEmailChannel logs in and sends by TLS where the certificate is good", async () => {
    const trusted = tls.getCACertificates("default");
    tls.setDefaultCACertificates([...trusted, certificate.cert]);
    try {
      const secure = await startMail({ secure: true });
      const upgraded = await startMail();
      const auth = { user: "ci", password: "a password" };
      for (const url of [`smtps://localhost:${secure}`, `smtp://0.0.0.0:${upgraded}`]) {
        expect(await send(createEmailChannel({ url, ...auth, ...people }))).toEqual({ kind: "sent" });
        expect(mails.at(-1)).toMatchObject({ secure: true, user: "ci" });
        const wrong = createEmailChannel({ url, ...auth, password: "another", ...people });
        expect(await send(wrong)).toMatchObject({ kind: "failed", why: expect.stringContaining("535") });
      }
      expect(mails).toHaveLength(2);
    } finally {
      tls.setDefaultCACertificates(trusted);
    }
  });
});
