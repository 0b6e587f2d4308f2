import { ModelRefusedError, type WorkResult } from "../agent/model.ts";
import { notAllowed } from "../agent/routed-model.ts";
import type { CommandResult, Limits, Sandbox } from "../sandbox/sandbox.ts";
import type { CodeRequest, Coder } from "./coder.ts";
import { type Gateway, openGateway, stopPath, type Upstream } from "./gateway.ts";
import { newSessionId, type Session, SessionFiles, sessionOf, transcriptOf } from "./session-files.ts";
import { StreamEvents } from "./stream-events.ts";

/** The oldest version whose options are used here. */
const oldestVersion = "2.1.197";

export interface ClaudeCodeOptions {
  sandbox: Sandbox;
  /** The program as commands in the sandbox see it: an absolute path, or a name on their PATH. */
  program: string;
  upstream: Upstream;
  /** After so long the program is stopped between two turns, what it did is saved, and it goes on. 60 by default. */
  saveEverySeconds?: number;
  /** How long a turn that is under way may still take when its time is over. 20 by default. */
  graceSeconds?: number;
  idleTimeoutSeconds?: number;
}

/** Reading, writing, searching and commands. Everything else would reach out of the sandbox or starts helpers of its own. */
const tools = "Bash,Edit,Glob,Grep,Read,Write";
const mebibyte = 1_048_576;
const goOn = "Go on from where you stopped.";
const changedSince =
  "Here is what is to be done next. Files may have changed since you looked at them: read them again before you edit them.\n\n";
/** A program that ends like this so often in one piece of work will not do better. */
const mostCrashes = 3;
/** Exit code of our own shell text when the program is not there. */
const missing = 127;

/**
 * Claude Code, Anthropic's own program, run without a person in the sandbox. It holds no key: the one server that it reaches
 * is a gateway of this job. Of the repository it takes no settings, hooks, servers, commands, plugins, agents or
 * instructions; the instructions of the default branch are in the prompt that it gets.
 * https://code.claude.com/docs/en/headless
 */
export function claudeCodeCoder(options: ClaudeCodeOptions): Coder {
  const { sandbox, upstream } = options;
  const graceSeconds = options.graceSeconds ?? 20;
  let usable: Promise<void> | undefined;

  return { name: "claude-code", code };

  async function code(request: CodeRequest): Promise<WorkResult> {
    request.signal.throwIfAborted();
    requireAllowed(upstream, request.prompt.allowedModels);
    usable ??= checkVersion(request);
    await usable.catch((error: unknown) => {
      usable = undefined;
      throw error;
    });
    const { prompt, budget, record } = request;
    const gateway = await openGateway({
      ...{ upstream, prompt, budget, record },
      idleTimeoutSeconds: options.idleTimeoutSeconds,
    });
    const files = new SessionFiles(request.at.temporary, sandbox.paths(request.at));
    try {
      return await work(request, gateway, files);
    } finally {
      await gateway.close();
      await files.remove();
    }
  }

  /** Starts the program, saves what it did, and starts it again until it is done or something ends the work. */
  async function work(request: CodeRequest, gateway: Gateway, files: SessionFiles): Promise<WorkResult> {
    const { budget, prompt, signal } = request;
    const saved = sessionOf(request.transcript);
    let session = saved ?? sessionOf(request.earlier);
    let say = saved === undefined ? (session === undefined ? "" : changedSince) + prompt.task : goOn;
    let crashes = 0;
    for (;;) {
      const before = gateway.answers();
      const run = await runOnce(request, gateway, files, session, say);
      signal.throwIfAborted();
      const answered = gateway.answers() > before;
      // A conversation that it cannot take up again is told from the beginning; the tree holds what was done.
      const lost = session !== undefined && !answered;
      if (answered || run.events.toolCalls > 0) {
        // Without a conversation that can be used, only the tree is kept.
        session = await files.read(run.id);
        say = session === undefined ? prompt.task : goOn;
        const transcript = transcriptOf(session ?? { id: run.id, lines: [] });
        await request.onTurn({ transcript, toolCalls: run.events.toolCalls });
        signal.throwIfAborted();
      }
      const usage = gateway.usage();
      const ended = endingOf({ ...run, lost }, gateway);
      if (ended !== undefined) return { ...ended, usage };
      if (Date.now() >= budget.deadline.getTime()) {
        if (usage.calls > 0 && session !== undefined) return { kind: "unfinished", usage };
        return { kind: "out-of-time", message: "Claude Code made no turn in the time that there was", usage };
      }
      if (gateway.stopped()) continue;
      crashes += 1;
      if (run.events.flooded || crashes >= mostCrashes || (!answered && !lost))
        return { kind: "gave-up", message: whyEnded(run), usage };
      if (lost) {
        session = undefined;
        say = prompt.task;
      }
    }
  }

  async function runOnce(
    request: CodeRequest,
    gateway: Gateway,
    files: SessionFiles,
    session: Session | undefined,
    say: string,
  ): Promise<Run> {
    const { prompt, at, budget, signal, onTool } = request;
    const id = session?.id ?? newSessionId();
    const inside = sandbox.paths(at);
    const system = [prompt.system, prompt.repository ?? ""].filter((part) => part !== "").join("\n\n");
    await files.prepare({ "system.md": system, "task.md": asWords(say) }, session);
    const pause = Math.min(budget.deadline.getTime(), Date.now() + (options.saveEverySeconds ?? 60) * 1000);
    const cut = budget.deadline.getTime() + graceSeconds * 1000;
    gateway.stopAt(new Date(pause), new Date(cut));
    const events = new StreamEvents(inside.tree, onTool);
    const flood = new AbortController();
    const result = await sandbox.run(
      {
        run: shellText(
          options.program,
          argumentsOf(files.inside, id, session !== undefined, upstream.models[0] ?? ""),
          Math.min(5, graceSeconds),
        ),
        env: environmentOf(files.inside, gateway.token, upstream),
        network: { gateway: gateway.socket },
        onStdout(chunk) {
          events.add(chunk);
          if (events.flooded) flood.abort(new Error("Claude Code floods its output"));
        },
      },
      at,
      limitsUntil(cut),
      AbortSignal.any([signal, flood.signal]),
    );
    if (result.kind === "refused") throw unusable(`Claude Code cannot be run: ${result.reason}`);
    return { id, events, result };
  }

  /** Asks the program which version it is. Throws in words for people when it cannot be used. */
  async function checkVersion({ at, signal }: CodeRequest): Promise<void> {
    const command = { run: `${quoted(options.program)} --version`, network: "none" as const };
    const result = await sandbox.run(command, at, limitsUntil(Date.now() + 45_000), signal);
    signal.throwIfAborted();
    const version = /^(\d+)\.(\d+)\.(\d+)/.exec(result.stdout.trim())?.[0];
    if (result.kind === "refused") throw unusable(`Claude Code cannot be run: ${result.reason}`);
    if (version === undefined) {
      const why =
        result.exitCode === missing || result.exitCode === 126
          ? "is not there"
          : `does not say its version (${shortly(result)})`;
      throw unusable(`Claude Code ${why} where commands run: ${options.program} (MILLWRIGHT_CLAUDE_CODE).`);
    }
    if (isOlder(version, oldestVersion))
      throw unusable(
        `Claude Code ${version} is too old: ${oldestVersion} or newer is needed (MILLWRIGHT_CLAUDE_CODE).`,
      );
  }

  /** How the work ended, unless it goes on. */
  function endingOf(
    run: Run & { lost: boolean },
    gateway: Gateway,
  ): Omit<Extract<WorkResult, { kind: "done" }>, "usage"> | Failed | undefined {
    const cut = gateway.ending();
    if (cut !== undefined) return cut;
    const { finished } = run.events;
    if (finished !== undefined && !finished.isError && finished.subtype === "success") {
      if (gateway.lastStop() === "refusal") return { kind: "refused", message: "The model refused the request" };
      return { kind: "done", text: finished.text };
    }
    const fault = gateway.fault();
    if (fault?.kind === "fatal") throw fault.error;
    if (gateway.stopped()) return undefined;
    if (fault?.kind === "overflow")
      return {
        kind: "context-overflow",
        message: "The work outgrew the model's window, also after Claude Code shortened it",
      };
    if (fault?.kind === "transient") throw fault.error;
    if (gateway.lastStop() === "refusal") return { kind: "refused", message: "The model refused the request" };
    return finished !== undefined && !run.lost ? { kind: "gave-up", message: whyEnded(run) } : undefined;
  }
}

/** The gateway asks one model; a repository may forbid that its text goes there. */
function requireAllowed({ provider, models }: Upstream, allowed: readonly string[] | undefined): void {
  for (const name of models) {
    const id = `${provider}/${name}`;
    const why = notAllowed({ names: ["default", name, provider, id], model: { id } }, allowed);
    if (why !== undefined) throw new ModelRefusedError(why.reason, why);
  }
}

type Failed = Omit<Exclude<WorkResult, { kind: "done" | "unfinished" }>, "usage">;

/** One start of the program. */
interface Run {
  /** Of the conversation. */
  id: string;
  events: StreamEvents;
  result: CommandResult;
}

function whyEnded({ events, result }: Run): string {
  if (events.flooded) return "Claude Code printed far more than it has to say, or what is none of its events";
  if (events.finished !== undefined)
    return `Claude Code ended with an error: ${oneLine(events.finished.text || events.finished.subtype)}`;
  if (events.garbage > 0)
    return `Claude Code printed what is none of its events (${events.garbage} lines; ${shortly(result)})`;
  return `Claude Code ended before it had finished (${shortly(result)})`;
}

/** How a command ended and what it said last, in a few words. */
function shortly(result: CommandResult): string {
  const how = result.exitCode === undefined ? (result.reason ?? result.kind) : `exit code ${result.exitCode}`;
  const said = oneLine(result.stderr.trim().split("\n").at(-1) ?? "");
  return said === "" ? how : `${how}: ${said}`;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ").trim().slice(0, 300);
}

function unusable(reason: string): ModelRefusedError {
  const advice =
    "Next: the operator has to install it or to choose the coder `agent` (MILLWRIGHT_CODER); then trigger the run again.";
  return new ModelRefusedError(reason, { reason, advice });
}

/**
 * What the program may not do is said three times, because each way has gaps: `--setting-sources ""` reads no file of
 * settings, `--safe-mode` no customisation of any kind, and the tools are named one by one.
 */
function argumentsOf(folder: string, id: string, resumes: boolean, model: string): string[] {
  return [
    ...["-p", "--output-format", "stream-json", "--verbose", "--model", model],
    ...["--safe-mode", "--setting-sources", "", "--strict-mcp-config", "--disable-slash-commands", "--tools", tools],
    // Who may do what is the sandbox's to say; nobody is there to be asked.
    ...["--permission-mode", "bypassPermissions", "--append-system-prompt-file", `${folder}/system.md`],
    ...(resumes ? ["--resume", id] : ["--session-id", id]),
  ];
}

/** A text that begins with a slash would be one of the program's own commands. */
function asWords(text: string): string {
  return text.trimStart().startsWith("/") ? `The task:\n\n${text}` : text;
}

/** https://code.claude.com/docs/en/env-vars */
function environmentOf(folder: string, token: string, { models, maxOutputTokens }: Upstream): Record<string, string> {
  const model = models[0] ?? "";
  return {
    CLAUDE_CONFIG_DIR: `${folder}/config`,
    CLAUDE_CODE_TMPDIR: folder,
    MILLWRIGHT_CODER_FOLDER: folder,
    ANTHROPIC_API_KEY: token,
    ANTHROPIC_DEFAULT_OPUS_MODEL: model,
    ANTHROPIC_DEFAULT_SONNET_MODEL: model,
    ANTHROPIC_DEFAULT_HAIKU_MODEL: model,
    ANTHROPIC_SMALL_FAST_MODEL: model,
    CLAUDE_CODE_MAX_OUTPUT_TOKENS: `${maxOutputTokens}`,
    // Else `@path` in an issue's text puts that file into a message of the system.
    CLAUDE_CODE_DISABLE_ATTACHMENTS: "1",
    CLAUDE_CODE_DISABLE_CLAUDE_MDS: "1",
    CLAUDE_CODE_DISABLE_BUNDLED_SKILLS: "1",
    CLAUDE_CODE_DISABLE_POLICY_SKILLS: "1",
    CLAUDE_CODE_DISABLE_WORKFLOWS: "1",
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
    CLAUDE_CODE_DISABLE_BACKGROUND_TASKS: "1",
    CLAUDE_CODE_DISABLE_AUTO_MEMORY: "1",
    CLAUDE_CODE_DISABLE_FILE_CHECKPOINTING: "1",
    CLAUDE_CODE_DISABLE_TERMINAL_TITLE: "1",
    CLAUDE_CODE_MAX_RETRIES: "2",
    DISABLE_AUTOUPDATER: "1",
    DISABLE_TELEMETRY: "1",
    DISABLE_ERROR_REPORTING: "1",
    BASH_DEFAULT_TIMEOUT_MS: "180000",
    BASH_MAX_TIMEOUT_MS: "180000",
    IS_SANDBOX: "1",
  };
}

/** Runs the program until it ends, or the gateway says that it has to stop: then it is asked to, and made to. */
function shellText(program: string, words: readonly string[], killSeconds: number): string {
  const port = "$" + "{MILLWRIGHT_GATEWAY##*:}";
  return [
    'export ANTHROPIC_BASE_URL="$MILLWRIGHT_GATEWAY"',
    `${[program, ...words].map(quoted).join(" ")} < "$MILLWRIGHT_CODER_FOLDER/task.md" &`,
    "program=$!",
    "{",
    `  exec 3<>"/dev/tcp/127.0.0.1/${port}"`,
    `  printf 'GET ${stopPath} HTTP/1.1\\r\\nhost: gateway\\r\\nx-api-key: %s\\r\\n\\r\\n' "$ANTHROPIC_API_KEY" >&3`,
    `  read -r _ <&3; kill -TERM "$program"; sleep ${killSeconds}; kill -KILL "$program"`,
    "} 2>/dev/null &",
    'wait "$program"',
  ].join("\n");
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/** It is asked to stop at `cut`, in milliseconds since 1970; what does not is ended a little later. */
function limitsUntil(cut: number): Limits {
  const timeoutSeconds = Math.max(1, (cut - Date.now()) / 1000) + 15;
  return {
    timeoutSeconds,
    maxOutputBytes: mebibyte / 4,
    maxMemoryBytes: 8_192 * mebibyte,
    maxProcesses: 1_024,
    maxFileBytes: 2_048 * mebibyte,
    maxCpuSeconds: Math.ceil(timeoutSeconds * 4),
  };
}

function isOlder(version: string, than: string): boolean {
  const [a, b] = [version, than].map((text) => text.split(".").map(Number));
  const index = [0, 1, 2].find((at) => a?.[at] !== b?.[at]);
  return index !== undefined && (a?.[index] ?? 0) < (b?.[index] ?? 0);
}
