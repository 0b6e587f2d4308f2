import { once } from "node:events";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { ModelRefusedError } from "../../src/agent/model.ts";
import { createSandbox } from "../../src/sandbox/create-sandbox.ts";
import { budget, prompt } from "../agent/support.ts";
import { bubblewrapMissing } from "../sandbox/available.ts";
import { processesWith } from "../sandbox/sandbox.testsuite.ts";
import { LIMITS } from "../sandbox/trees.ts";
import { claudeCodeAvailable, claudeCodeMissing, claudeCodeProgram } from "../support/claude-code.ts";
import { finish, useTools } from "../support/model-replies.ts";
import { type RawModel, startRawModel } from "../support/scripted-model.ts";
import { hostileRepository, repositoryWords } from "./hostile-repository.ts";
import { claudeCodeAt, codeRequest, openWorkshop, realKey, type Workshop } from "./support.ts";

const missing = claudeCodeAvailable ? bubblewrapMissing() : claudeCodeMissing;
const left = (missed: string | undefined) => missed !== undefined && process.env.CI !== "true";
let workshop: Workshop;
let model: RawModel | undefined;

beforeAll(async () => {
  workshop = await openWorkshop();
});
afterAll(() => workshop?.close());
afterEach(() => model?.close());

const bash = (command: string) => ["Bash", { command, description: "look" }] as [string, Record<string, unknown>];

describe.skipIf(left(missing))(`claudeCodeCoder with the real program${missing ? ` (${missing})` : ""}`, () => {
  const canaries = "/environment/canaries";
  const hostileJob = async (redirects: boolean) => {
    const at = await workshop.job(hostileRepository(canaries, { redirects }));
    await mkdir(join(at.environment.directory, "canaries"), { mode: 0o777 });
    return { at, found: () => readdir(join(at.environment.directory, "canaries")) };
  };
  const everyTool = [
    useTools(
      ["Write", { file_path: "/workspace/made.txt", content: "made\n" }],
      ["Read", { file_path: "/workspace/sub/x.txt" }],
      bash("env | grep -c CANARY_ENV; true"),
      ["Read", { file_path: "/workspace/none" }],
    ),
    useTools(
      ["Skill", { skill: "evil" }],
      ["Agent", { subagent_type: "evil", description: "evil", prompt: "evil" }],
      ["mcp__evil__tool", {}],
      ["Grep", { pattern: "made" }],
      ["WebFetch", { url: "http://127.0.0.1:1/", prompt: "evil" }],
    ),
    finish("Done."),
  ];

  test("code runs nothing of a repository that carries settings, hooks, servers, commands, plugins and agents", async () => {
    const { at, found } = await hostileJob(true);
    model = await startRawModel(({ index }) => everyTool[Math.min(index, 2)]!);
    const said = { ...prompt, task: "/evil Do it. @CLAUDE.md @/workspace/sub/CLAUDE.md" };
    const result = await claudeCodeAt(workshop.sandbox, model.url).code(codeRequest(at, { prompt: said }));
    expect(result).toMatchObject({ kind: "done", text: "Done." });
    expect(await readFile(join(at.directory, "made.txt"), "utf8")).toBe("made\n");
    expect(await found()).toEqual([]);
    const sent = JSON.stringify(model.requests.map(({ body }) => body));
    expect(sent.includes(repositoryWords)).toBe(false);
    expect(model.requests[0]!.body.tools.map((tool: { name: string }) => tool.name)).toEqual(
      "Bash Edit Glob Grep Read Write".split(" "),
    );
  });

  test("the same repository runs programs of its own where its settings are read", async () => {
    const at = await workshop.job();
    const canaries = join(workshop.root, "canaries");
    await mkdir(canaries);
    for (const [path, content] of Object.entries(hostileRepository(canaries, { redirects: false }))) {
      await mkdir(dirname(join(at.directory, path)), { recursive: true });
      await writeFile(join(at.directory, path), content);
    }
    model = await startRawModel(({ index }) => everyTool[Math.min(index, 2)]!);
    const open = await createSandbox({
      ...{ backend: "none", slots: 1, dataDirectory: join(workshop.root, "open") },
      log: { info: () => {}, warn: () => {} },
    });
    const env = { ANTHROPIC_BASE_URL: model.url, ANTHROPIC_API_KEY: "any", IS_SANDBOX: "1", DISABLE_AUTOUPDATER: "1" };
    const run = `${claudeCodeProgram} -p --permission-mode bypassPermissions --model claude-opus-5-5 'Do it.'`;
    const off = { CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1" };
    expect((await open.run({ run, env: { ...env, ...off }, network: "none" }, at, LIMITS)).kind).toBe("ok");
    expect((await readdir(canaries)).length).toBeGreaterThan(5);
    expect(JSON.stringify(model.requests.map(({ body }) => body)).includes(repositoryWords)).toBe(true);
  });

  test("code holds no key, and reaches nothing but messages of its model", async () => {
    const at = await workshop.job();
    const other = createServer((_, response) => response.end("other")).listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as AddressInfo;
    const look = [
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is shell text.
      'ask() { exec 3<>"/dev/tcp/127.0.0.1/${ANTHROPIC_BASE_URL##*:}"; printf "$1" >&3; head -c 300 <&3; exec 3>&-; echo; }',
      'tr "\\0" "\\n" < /proc/self/environ; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" "\\n"',
      `grep -rsl "the-real[-]key" /tmp /environment /workspace /run /etc && echo KEY-""FOUND`,
      `(exec 3<>/dev/tcp/127.0.0.1/${port}) 2>&1 && echo OTHER-""REACHED`,
      'ask "GET /v1/models HTTP/1.0\\r\\nx-api-key: $ANTHROPIC_API_KEY\\r\\n\\r\\n"',
      'ask "POST /v1/messages HTTP/1.0\\r\\nx-api-key: wrong\\r\\ncontent-length: 2\\r\\n\\r\\n{}"',
      'echo LOOK""ED',
    ].join("\n");
    model = await startRawModel(({ index }) => (index === 0 ? useTools(bash(look)) : finish()));
    const request = codeRequest(at);
    const result = await claudeCodeAt(workshop.sandbox, model.url).code(request);
    other.close();
    expect(result.kind).toBe("done");
    const saw = JSON.stringify(model.requests[1]!.body.messages.at(-1));
    for (const seen of ["LOOKED", "ANTHROPIC_API_KEY=", "HTTP/1.1 404", "HTTP/1.1 401"])
      expect(saw.includes(seen), seen).toBe(true);
    for (const never of [realKey, "KEY-FOUND", "OTHER-REACHED"]) expect(saw.includes(never), never).toBe(false);
    expect(JSON.stringify(request.turns)).not.toContain(realKey);
    expect(model.requests.map(({ path }) => path.split("?")[0])).toEqual(["/v1/messages", "/v1/messages"]);
    expect(model.requests.map(({ headers }) => headers.authorization)).toEqual(Array(2).fill(`Bearer ${realKey}`));
    expect(model.requests[0]!.headers["x-api-key"]).toBeUndefined();
  });

  test("code is saved between two turns, goes on, and takes up an earlier conversation with a new task", async () => {
    const at = await workshop.job();
    const write = (name: string) => useTools(["Write", { file_path: `/workspace/${name}`, content: "x\n" }]);
    const slow = async <T>(reply: T) => {
      await new Promise((resolve) => setTimeout(resolve, 600));
      return reply;
    };
    model = await startRawModel(({ index }) => (index < 3 ? slow(write(`file-${index}`)) : finish("All.")));
    const request = codeRequest(at);
    const coder = claudeCodeAt(workshop.sandbox, model.url, { saveEverySeconds: 1 });
    expect(await coder.code(request)).toMatchObject({ kind: "done", usage: { calls: 4 } });
    // It was stopped at least once, and no turn was asked for twice.
    expect(request.turns.length).toBeGreaterThan(1);
    expect(model.requests).toHaveLength(4);
    expect(request.told).toEqual(["write file-0", "write file-1", "write file-2"]);
    expect(JSON.stringify(model.requests[3]!.body.messages).split("Fix a.txt.")).toHaveLength(2);
    const { transcript } = request.turns.at(-1)!;

    await model.close();
    model = await startRawModel(() => finish("Fixed."));
    const next = { ...prompt, name: "fix-checks", task: "The checks failed." };
    const refined = codeRequest(at, { prompt: next, earlier: transcript });
    const again = claudeCodeAt(workshop.sandbox, model.url);
    expect(await again.code(refined)).toMatchObject({ kind: "done", text: "Fixed." });
    const sent = JSON.stringify(model.requests[0]!.body.messages);
    for (const part of ["file-0", "Fix a.txt.", "All.", "The checks failed."]) expect(sent).toContain(part);
    // A conversation that cannot be used any more is left, not the work.
    const broken = [transcript[0], { type: "nonsense" }];
    const anew = codeRequest(await workshop.job(), { prompt: next, transcript: broken });
    expect(await again.code(anew)).toMatchObject({ kind: "done" });
    expect(JSON.stringify(model.requests.at(-1)!.body.messages)).toContain("The checks failed.");
  });
});

const noBubblewrap = bubblewrapMissing();
describe.skipIf(left(noBubblewrap))(
  `claudeCodeCoder with programs that fail${noBubblewrap ? ` (needs ${noBubblewrap})` : ""}`,
  () => {
    const says = (version: string) => `#!/bin/bash\nif [ "$1" = --version ]; then echo "${version}"; exit; fi\n`;
    /** A coder whose program is this text, and a job that has it in its home. */
    const failing = async (text: string, program = "/environment/program") => {
      const at = await workshop.job();
      await writeFile(join(at.environment.directory, "program"), text, { mode: 0o755 });
      return { at, coder: claudeCodeAt(workshop.sandbox, "http://127.0.0.1:9", { program, graceSeconds: 1 }) };
    };
    const crashing = (text: string) => failing(`${says("2.9.9 (Claude Code)")}${text}\n`);

    test("code names the setting when the program is missing, too old or another one", async () => {
      const cases: [Awaited<ReturnType<typeof failing>>, string][] = [
        [
          await failing("", "/opt/none/claude"),
          "Claude Code is not there where commands run: /opt/none/claude (MILLWRIGHT_CLAUDE_CODE).",
        ],
        [
          await failing(says("2.1.99 (Claude Code)")),
          "Claude Code 2.1.99 is too old: 2.1.197 or newer is needed (MILLWRIGHT_CLAUDE_CODE).",
        ],
        [await failing(says("hello")), "does not say its version"],
      ];
      for (const [{ at, coder }, words] of cases) {
        const failure = await coder.code(codeRequest(at)).catch((thrown: unknown) => thrown);
        expect(failure).toBeInstanceOf(ModelRefusedError);
        expect((failure as ModelRefusedError).forPeople.reason).toContain(words);
      }
    });

    test("code is refused before anything is run where a repository allows other models alone", async () => {
      const { at, coder } = await crashing("touch ran; exit 1");
      const elsewhere = codeRequest(at, { prompt: { ...prompt, allowedModels: ["openai/gpt-6-sol"] } });
      await expect(coder.code(elsewhere)).rejects.toThrow("models.allowed");
      expect(await readdir(at.directory)).toEqual([]);
      const allowed = codeRequest(at, { prompt: { ...prompt, allowedModels: ["anthropic"] } });
      expect(await coder.code(allowed)).toMatchObject({ kind: "gave-up" });
    });

    test("code says how a program ended that crashed, and keeps what it wrote", async () => {
      const { at, coder } = await crashing("echo half > half.txt; echo 'Segmentation fault' >&2; exit 139");
      const result = await coder.code(codeRequest(at));
      expect(result).toMatchObject({
        ...{ kind: "gave-up", message: expect.stringContaining("exit code 139: Segmentation fault") },
      });
      expect(await readFile(join(at.directory, "half.txt"), "utf8")).toBe("half\n");
    });

    test("code ends a program that prints garbage or a gigabyte, and stays small", async () => {
      const garbage = await crashing("for i in 1 2 3; do echo '<html>'; done");
      expect(await garbage.coder.code(codeRequest(garbage.at))).toMatchObject({
        ...{ kind: "gave-up", message: expect.stringContaining("none of its events (3 lines") },
      });
      for (const text of ["yes | head -c 1000000000", "head -c 1000000000 /dev/zero"]) {
        const { at, coder } = await crashing(text);
        const before = process.memoryUsage().rss;
        expect(await coder.code(codeRequest(at))).toMatchObject({
          ...{ kind: "gave-up", message: expect.stringContaining("far more than it has to say") },
        });
        expect(process.memoryUsage().rss - before).toBeLessThan(96 * 1024 * 1024);
      }
    });

    test("code ends a program that hangs when its time is over, and leaves nothing running", async () => {
      const mark = `${4_000_000 + Math.floor(Math.random() * 1_000_000)}`;
      const { at, coder } = await crashing(`trap '' TERM; sleep ${mark} & while true; do sleep 1; done`);
      const soon = budget({ deadline: new Date(Date.now() + 1_500) });
      expect(await coder.code(codeRequest(at, { budget: soon }))).toMatchObject({ kind: "out-of-time" });
      expect(await processesWith(mark)).toEqual([]);
    });
  },
);
