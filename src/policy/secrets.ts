/** A secret that was found by its form. The value is never part of it. */
export interface FoundSecret {
  /** Name of the pattern, for example `github-token`. */
  rule: string;
  /** Line counted from 1. */
  line: number;
}

interface Rule {
  name: string;
  /** Text without which the pattern cannot match, in lower case: a cheap test before the pattern runs. */
  hints: readonly string[];
  pattern: RegExp;
  /** Which group is the secret itself; the whole match by default. */
  group?: number;
  /** Least Shannon entropy of the value in bits per character. */
  minEntropy?: number;
  /** Whether values that look like placeholders, and test files, are let pass. A real key's form speaks for itself. */
  lenient?: boolean;
}

/** Longer texts are searched up to here; the guard does not read larger files either. */
const maxCharacters = 4_000_000;

/**
 * Secrets by their well-known forms, and passwords in connection strings and assignments. Returns rule and line, never
 * the value. Placeholders (`xxxx`, `example`, `<token>`, `${VAR}`) do not count, and in test files, fixtures and
 * documentation the two general rules (assignment, connection string) do not apply. Linear time; never throws.
 * The forms are those that the issuers document for secret scanning.
 */
export function findSecrets(text: string, { path = "" }: { path?: string } = {}): FoundSecret[] {
  return findSecretValues(text, { path }).map(({ rule, line }) => ({ rule, line }));
}

/** As `findSecrets`, with the value, for comparing with what stood there before. The value must not leave the guard. */
export function findSecretValues(
  text: string,
  { path = "" }: { path?: string } = {},
): (FoundSecret & { value: string })[] {
  const source = text.slice(0, maxCharacters);
  const lower = source.toLowerCase();
  const examples = exampleFile.test(path);
  const found = new Map<string, { rule: string; index: number; value: string }>();
  for (const rule of rules) {
    if (rule.lenient && examples) continue;
    if (!rule.hints.some((hint) => lower.includes(hint))) continue;
    for (const match of source.matchAll(rule.pattern)) {
      const value = match[rule.group ?? 0] ?? "";
      if ((rule.lenient ? isPlaceholder(value) : isFiller(value)) || entropy(value) < (rule.minEntropy ?? 0)) continue;
      const key = `${rule.name}\0${value}`;
      if (!found.has(key)) found.set(key, { rule: rule.name, index: match.index, value });
    }
  }
  const ordered = [...found.values()].sort((a, b) => a.index - b.index);
  let line = 1;
  let counted = 0;
  return ordered.map(({ rule, index, value }) => {
    for (; counted < index; counted++) if (source.charCodeAt(counted) === 10) line++;
    return { rule, line, value };
  });
}

const exampleFile =
  /(?:^|\/)(?:tests?|__tests__|__mocks__|spec|specs|fixtures?|testdata|examples?|samples?|docs?)\/|[._-](?:test|spec|example|sample|template)\.|\.(?:md|mdx|rst|adoc)$|(?:^|\/)test_[^/]*$/i;

const rules: readonly Rule[] = [
  {
    name: "github-token",
    hints: ["ghp_", "gho_", "ghu_", "ghs_", "ghr_"],
    pattern: /\bgh[pousr]_[A-Za-z0-9]{36,255}(?![A-Za-z0-9])/g,
    minEntropy: 3,
  },
  { name: "github-installation-token", hints: ["ghs_"], pattern: /\bghs_[A-Za-z0-9._-]{60,1000}/g, minEntropy: 3 },
  {
    name: "github-fine-grained-token",
    hints: ["github_pat_"],
    pattern: /\bgithub_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}/g,
    minEntropy: 3,
  },
  {
    name: "gitlab-token",
    hints: ["glpat-", "gldt-", "glrt-"],
    pattern: /\bgl(?:pat|dt|rt)-[A-Za-z0-9_-]{20,64}/g,
    minEntropy: 3,
  },
  { name: "aws-access-key", hints: ["akia", "asia"], pattern: /\b(?:AKIA|ASIA)[A-Z2-7]{16}\b/g, minEntropy: 3 },
  {
    name: "aws-secret-key",
    hints: ["aws"],
    pattern: /\baws.{0,20}(?:secret|key).{0,20}?["'\s:=]([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])/gi,
    group: 1,
    minEntropy: 4,
  },
  {
    name: "anthropic-key",
    hints: ["sk-ant-"],
    pattern: /\bsk-ant-[a-z]{2,8}\d{2}-[A-Za-z0-9_-]{40,200}/g,
    minEntropy: 3,
  },
  {
    name: "openai-key",
    hints: ["sk-"],
    pattern: /\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{16,120}T3BlbkFJ[A-Za-z0-9_-]{16,120}/g,
    minEntropy: 3,
  },
  { name: "google-api-key", hints: ["aiza"], pattern: /\bAIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])/g, minEntropy: 3 },
  { name: "google-oauth-secret", hints: ["gocspx-"], pattern: /\bGOCSPX-[A-Za-z0-9_-]{28}/g, minEntropy: 3 },
  {
    name: "slack-token",
    hints: ["xox", "xapp-"],
    pattern: /\b(?:xox[abeoprs]-(?:\d+-)?[A-Za-z0-9-]{20,200}|xapp-\d-[A-Z0-9]{9,15}-\d+-[a-f0-9]{32,128})/g,
    minEntropy: 3,
  },
  {
    name: "slack-webhook",
    hints: ["hooks.slack.com"],
    pattern: /hooks\.slack\.com\/(?:services|workflows)\/T[A-Z0-9]{6,14}\/[A-Z0-9]{6,14}\/[A-Za-z0-9]{16,64}/g,
    minEntropy: 3,
  },
  { name: "stripe-key", hints: ["k_live_"], pattern: /\b[rs]k_live_[A-Za-z0-9]{20,247}/g, minEntropy: 3 },
  { name: "npm-token", hints: ["npm_"], pattern: /\bnpm_[A-Za-z0-9]{36}(?![A-Za-z0-9])/g, minEntropy: 3 },
  {
    name: "npm-auth",
    hints: ["_authtoken", "_password", "_auth"],
    pattern: /(?:^|:)_(?:authToken|password|auth)\s*=\s*["']?([A-Za-z0-9+/=_-]{16,200})/gm,
    group: 1,
    minEntropy: 3,
  },
  { name: "pypi-token", hints: ["pypi-"], pattern: /\bpypi-AgE[A-Za-z0-9_-]{50,300}/g, minEntropy: 3 },
  { name: "rubygems-key", hints: ["rubygems_"], pattern: /\brubygems_[a-f0-9]{48}\b/g, minEntropy: 2.5 },
  { name: "crates-token", hints: ["cio"], pattern: /\bcio[A-Za-z0-9]{32}\b/g, minEntropy: 3.5 },
  { name: "docker-token", hints: ["dckr_pat_"], pattern: /\bdckr_pat_[A-Za-z0-9_-]{27}/g, minEntropy: 3 },
  {
    name: "digitalocean-token",
    hints: ["dop_v1_", "doo_v1_"],
    pattern: /\bdo[op]_v1_[a-f0-9]{64}\b/g,
    minEntropy: 2.5,
  },
  { name: "sendgrid-key", hints: ["sg."], pattern: /\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}/g, minEntropy: 3 },
  { name: "twilio-key", hints: ["sk"], pattern: /\bSK[a-f0-9]{32}\b/g, minEntropy: 3 },
  { name: "hugging-face-token", hints: ["hf_"], pattern: /\bhf_[A-Za-z0-9]{34}(?![A-Za-z0-9])/g, minEntropy: 3.5 },
  {
    name: "azure-storage-key",
    hints: ["accountkey="],
    pattern: /AccountKey=([A-Za-z0-9+/]{86}==)/g,
    group: 1,
    minEntropy: 3,
  },
  {
    name: "telegram-token",
    hints: [":aa"],
    pattern: /\b\d{8,10}:AA[A-Za-z0-9_-]{33}(?![A-Za-z0-9_-])/g,
    minEntropy: 3.5,
  },
  // At least one line of base64: the two border lines alone, as code that parses keys has them, are no key.
  {
    name: "private-key",
    hints: ["private key"],
    pattern:
      /-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:\s|\\[nr]|["'+,]){1,40}(?:(?:Proc-Type|DEK-Info|Version|Comment):[^\n]{0,100}\s{1,4}){0,4}([A-Za-z0-9+/=]{40,})/g,
    group: 1,
    minEntropy: 3,
  },
  {
    name: "putty-private-key",
    hints: ["putty-user-key-file"],
    pattern: /PuTTY-User-Key-File-\d[\s\S]{0,1000}?Private-Lines: \d+\s+([A-Za-z0-9+/=]{40,})/g,
    group: 1,
  },
  {
    name: "jwt",
    hints: ["eyj"],
    pattern: /\beyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{20,1000}/g,
    minEntropy: 3,
    lenient: true,
  },
  {
    name: "connection-string",
    hints: ["://"],
    pattern:
      /\b(?:postgres(?:ql)?|mysql|mariadb|mongodb(?:\+srv)?|redis|rediss|amqps?|ftp|sftp|smtps?|https?|mssql|sqlserver|ldaps?|clickhouse|nats):\/\/[^\s:/?#@"'<>]{0,100}:([^\s@/"'<>]{6,200})@[^\s"'<>]{1,200}/gi,
    group: 1,
    minEntropy: 2.5,
    lenient: true,
  },
  {
    name: "assigned-secret",
    hints: ["secret", "token", "passw", "pwd", "api", "auth", "credential", "private", "access"],
    pattern:
      /(?:secret|token|passw(?:or)?d|passphrase|pwd|api[_-]?key|auth[_-]?key|access[_-]?key|client[_-]?key|credentials?|private[_-]?key)[\w-]{0,30}["'\]]{0,3}[ \t]{0,10}(?::=|=>|[:=])[ \t]{0,10}["'`]([^\s"'`]{16,200})["'`]/gi,
    group: 1,
    minEntropy: 3.6,
    lenient: true,
  },
  {
    name: "assigned-secret",
    hints: ["secret", "token", "passw", "api"],
    // Without quotes only where a whole line is `NAME=value`, as in an environment file.
    pattern:
      /^[ \t]*(?:export[ \t]+)?[A-Z0-9_]{0,60}(?:SECRET|TOKEN|PASSW(?:OR)?D|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY)[A-Z0-9_]{0,30}[ \t]{0,4}=[ \t]{0,4}([A-Za-z0-9+/=_.~-]{20,200})[ \t]*$/gm,
    group: 1,
    minEntropy: 3.8,
    lenient: true,
  },
];

const placeholder =
  /example|sample|placeholder|dummy|change[_-]?me|replace|redacted|your[_-]|<[^>]*>|\$\{|\{\{|%\(|x{5,}|\*{3,}|\.{3}|0{8,}|1234567890|abcdefgh|insert|process\.env|os\.environ|getenv|secrets\./i;

/** What documentation writes in place of a token's characters; a real token cannot be made one by a word at its end. */
function isFiller(value: string): boolean {
  return /x{6,}|\*{3,}|0{8,}|1234567890|abcdefgh|^AKIA[A-Z0-9]*EXAMPLE$/i.test(value);
}

/** Names, sentences, paths and expressions are no secrets: a secret has digits or mixed letters and no calls. */
function isPlaceholder(value: string): boolean {
  if (placeholder.test(value)) return true;
  if (/^[a-z#.][a-z_.#-]*$/i.test(value) && !/[a-z][A-Z].*[a-z][A-Z].*[a-z][A-Z]/.test(value)) return true;
  if (/[()[\]{};]/.test(value) && /^[\w.$]+[([]/.test(value)) return true;
  return /^(?:\.{0,2}\/|https?:\/\/[^@]*$|[a-z]+(?:[A-Z][a-z]+)+$)/.test(value) || /^(.)\1*$/.test(value);
}

function entropy(value: string): number {
  const counts = new Map<string, number>();
  for (const character of value) counts.set(character, (counts.get(character) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= (count / value.length) * Math.log2(count / value.length);
  return bits;
}
