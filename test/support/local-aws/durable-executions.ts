import { createHash, randomUUID } from "node:crypto";
import type { Ending } from "./execution-environment.ts";

type Json = Record<string, unknown>;

/** An operation as AWS keeps it. Times are in milliseconds here; each way out has its own form. */
interface Operation {
  Id: string;
  ParentId?: string;
  Name?: string;
  Type: string;
  SubType?: string;
  Status: string;
  StartTimestamp: number;
  EndTimestamp?: number;
  ExecutionDetails?: { InputPayload: string };
  ContextDetails?: { ReplayChildren?: boolean; Result?: string; Error?: Json };
  StepDetails?: { Attempt: number; NextAttemptTimestamp?: number; Result?: string; Error?: Json };
  WaitDetails?: { ScheduledEndTimestamp: number };
  CallbackDetails?: { CallbackId: string; Result?: string; Error?: Json };
}

interface Update {
  Id?: string;
  ParentId?: string;
  Name?: string;
  Type?: string;
  SubType?: string;
  Action?: string;
  Payload?: string;
  Error?: Json;
  ContextOptions?: { ReplayChildren?: boolean };
  StepOptions?: { NextAttemptDelaySeconds?: number };
  WaitOptions?: { WaitSeconds?: number };
  CallbackOptions?: { TimeoutSeconds?: number };
}

export interface DurableExecution {
  arn: string;
  name: string;
  functionName: string;
  /** The version that the alias named when it began; it keeps it. */
  version: string;
  status: "RUNNING" | "SUCCEEDED" | "FAILED" | "STOPPED";
  /** How often the function was invoked for it. */
  invocations: number;
  /** Operations that were ever begun. */
  begun: number;
  /** Its history as AWS keeps it, besides its input: every update that was ever sent. */
  kept(): string;
  operations(): readonly { name?: string; type: string; status: string; payloadBytes: number }[];
  ended: Promise<Ending>;
}

interface Kept extends DurableExecution {
  input: string;
  inputHash: string;
  startedAt: number;
  known: Map<string, Operation>;
  history: Update[];
  /** Changed since it was last told. */
  changed: Set<string>;
  token: string;
  /** Ends the invocation that is under way as a crash of its process does. */
  crash: ((why: string) => void) | undefined;
  /** Something happened while an invocation was under way. */
  happened: boolean;
  timers: Set<NodeJS.Timeout>;
  finish(ending: Ending): void;
}

export type Answer = { status: number; value: unknown } | { status: number; type: string; message: string };

const LARGEST_PAYLOAD = 256 * 1024;
const LARGEST_CHECKPOINT = 1024 * 1024;
const LONGEST_SECONDS = 31_622_400;
const PAGE = 100;
const DONE = new Set(["SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED", "CANCELLED"]);

/**
 * Executions of durable functions: their checkpoints, timers and callbacks, and the invocations that tell them. A function
 * whose invocation fails is invoked again; a token is good for one checkpoint, so that a process that was given up has no
 * more say. https://docs.aws.amazon.com/lambda/latest/dg/durable-functions.html
 */
export function createDurableExecutions(options: {
  arnOf(functionName: string, name: string, id: string): string;
  /** Invokes the function; undefined when none is there now. */
  invoke(execution: { functionName: string; version: string; name: string }, event: Json): Promise<Ending> | undefined;
  /** How long after a failed invocation the next one comes. */
  againSeconds?: number;
}) {
  const { againSeconds = 0.1 } = options;
  const executions = new Map<string, Kept>();
  const byName = new Map<string, Kept>();
  const byCallback = new Map<string, { execution: Kept; operation: Operation }>();
  let closed = false;

  function start(
    functionName: string,
    name: string,
    input: string,
    version: string,
  ): { execution: DurableExecution; again: boolean } | "refused" {
    const inputHash = createHash("sha256").update(input).digest("hex");
    const before = byName.get(`${functionName}/${name}`);
    if (before) return before.inputHash === inputHash ? { execution: before, again: true } : "refused";
    const ended = Promise.withResolvers<Ending>();
    const known = new Map<string, Operation>();
    const history: Update[] = [];
    const execution: Kept = {
      arn: options.arnOf(functionName, name, randomUUID()),
      name,
      functionName,
      version,
      status: "RUNNING",
      invocations: 0,
      begun: 0,
      input,
      inputHash,
      startedAt: Date.now(),
      known,
      history,
      changed: new Set(),
      token: "",
      crash: undefined,
      happened: false,
      timers: new Set(),
      ended: ended.promise,
      finish: ended.resolve,
      kept: () => JSON.stringify(history),
      operations: () =>
        [...known.values()].slice(1).map((operation) => ({
          name: operation.Name,
          type: operation.Type,
          status: operation.Status,
          payloadBytes: Buffer.byteLength(operation.StepDetails?.Result ?? operation.ContextDetails?.Result ?? ""),
        })),
    };
    const id = randomUUID();
    known.set(id, {
      Id: id,
      Type: "EXECUTION",
      Status: "STARTED",
      StartTimestamp: Date.now(),
      ExecutionDetails: { InputPayload: input },
    });
    executions.set(execution.arn, execution);
    byName.set(`${functionName}/${name}`, execution);
    setImmediate(() => void drive(execution));
    return { execution, again: false };
  }

  async function drive(execution: Kept): Promise<void> {
    if (closed || execution.crash || execution.status !== "RUNNING") return;
    const crashed = Promise.withResolvers<Ending>();
    execution.crash = (why) => crashed.resolve({ error: { errorType: "Runtime.ExitError", errorMessage: why } });
    execution.token = randomUUID();
    execution.happened = false;
    const updated = [...execution.changed];
    execution.changed.clear();
    const visible = visibleOf(execution);
    const event = {
      DurableExecutionArn: execution.arn,
      CheckpointToken: execution.token,
      UpdatedOperationIds: updated,
      InitialExecutionState: {
        Operations: visible.slice(0, PAGE).map((operation) => shown(operation, (at) => new Date(at).toISOString())),
        ...(visible.length > PAGE && { NextMarker: String(PAGE) }),
      },
    };
    const invoked = options.invoke(execution, event);
    execution.invocations += invoked === undefined ? 0 : 1;
    const ending: Ending =
      invoked === undefined
        ? { error: { errorType: "TooManyRequestsException", errorMessage: "there is no environment" } }
        : await Promise.race([invoked, crashed.promise]);
    execution.crash = undefined;
    execution.token = "";
    if ("error" in ending) return later(execution, againSeconds * 1000, () => {});
    const { Status, Result, Error: problem } = ending.result as { Status?: string; Result?: string; Error?: Json };
    if (Status === "SUCCEEDED") return end(execution, "SUCCEEDED", { result: Result });
    if (Status === "FAILED") {
      const message = String(problem?.["ErrorMessage"]);
      return end(execution, "FAILED", { error: { errorType: String(problem?.["ErrorType"]), errorMessage: message } });
    }
    if (execution.happened) return drive(execution);
    if ([...execution.known.values()].some(waits)) return;
    const errorMessage = "Cannot return PENDING status with no pending operations.";
    end(execution, "FAILED", { error: { errorType: "InvalidParameterValueException", errorMessage } });
  }

  function end(execution: Kept, status: Kept["status"], ending: Ending): void {
    execution.status = status;
    for (const timer of execution.timers) clearTimeout(timer);
    execution.finish(ending);
  }

  /** What AWS does to an execution by itself. */
  function later(execution: Kept, milliseconds: number, change: () => void): void {
    const timer = setTimeout(
      () => {
        execution.timers.delete(timer);
        change();
        execution.happened = true;
        void drive(execution);
      },
      Math.min(milliseconds, 2 ** 31 - 1),
    );
    timer.unref();
    execution.timers.add(timer);
  }

  function settle(execution: Kept, operation: Operation, status: string, details: Partial<Operation> = {}): void {
    if (DONE.has(operation.Status)) return;
    Object.assign(operation, details, { Status: status, EndTimestamp: Date.now() });
    execution.changed.add(operation.Id);
  }

  function checkpoint(execution: Kept, token: string, updates: Update[]): Answer {
    if (execution.status !== "RUNNING" || token !== execution.token)
      return refused(`Invalid Checkpoint Token: ${token.slice(0, 8)}`);
    // A parent may begin in the same request.
    const ids = new Set([...execution.known.keys(), ...updates.map(({ Id }) => Id)]);
    const problem = updates.map((update) => problemOf(execution, update, ids)).find((one) => one !== undefined);
    if (problem) return refused(problem);
    for (const update of updates) apply(execution, update);
    execution.token = randomUUID();
    const Operations = [...execution.changed]
      .flatMap((id) => execution.known.get(id) ?? [])
      .map((operation) => shown(operation, (at) => at / 1000));
    execution.changed.clear();
    return { status: 200, value: { CheckpointToken: execution.token, NewExecutionState: { Operations } } };
  }

  function apply(execution: Kept, update: Update): void {
    const now = Date.now();
    execution.history.push(update);
    if (update.Type === "EXECUTION") {
      end(execution, "SUCCEEDED", { result: update.Payload });
      return;
    }
    let operation = execution.known.get(update.Id!);
    if (!operation) {
      operation = {
        Id: update.Id!,
        ParentId: update.ParentId,
        Name: update.Name,
        Type: update.Type!,
        SubType: update.SubType,
        Status: "STARTED",
        StartTimestamp: now,
      };
      execution.known.set(operation.Id, operation);
      execution.begun += 1;
      begin(execution, operation, update, now);
    }
    execution.changed.add(operation.Id);
    const details = { Result: update.Payload, Error: update.Error };
    if (operation.Type === "STEP") {
      const before = operation.StepDetails?.Attempt ?? 0;
      if (update.Action === "START") operation.Status = "STARTED";
      if (update.Action === "RETRY") {
        const seconds = update.StepOptions?.NextAttemptDelaySeconds ?? 1;
        operation.Status = "PENDING";
        operation.StepDetails = {
          Attempt: before + 1,
          NextAttemptTimestamp: now + seconds * 1000,
          Error: update.Error,
        };
        const retried = operation;
        later(execution, seconds * 1000, () => {
          retried.Status = "READY";
          execution.changed.add(retried.Id);
        });
      }
      if (update.Action === "SUCCEED" || update.Action === "FAIL")
        settle(execution, operation, `${update.Action}ED`, { StepDetails: { Attempt: before + 1, ...details } });
    }
    if (operation.Type === "CONTEXT" && (update.Action === "SUCCEED" || update.Action === "FAIL")) {
      const ReplayChildren = update.ContextOptions?.ReplayChildren;
      settle(execution, operation, `${update.Action}ED`, { ContextDetails: { ...details, ReplayChildren } });
    }
  }

  function begin(execution: Kept, operation: Operation, update: Update, now: number): void {
    if (operation.Type === "WAIT") {
      const milliseconds = update.WaitOptions!.WaitSeconds! * 1000;
      operation.WaitDetails = { ScheduledEndTimestamp: now + milliseconds };
      later(execution, milliseconds, () => settle(execution, operation, "SUCCEEDED"));
    }
    if (operation.Type === "CALLBACK") {
      const CallbackId = Buffer.from(`${execution.name}/${operation.Id}/${randomUUID()}`).toString("base64url");
      operation.CallbackDetails = { CallbackId };
      byCallback.set(CallbackId, { execution, operation });
      const seconds = update.CallbackOptions?.TimeoutSeconds ?? 0;
      const details = { CallbackId, Error: { ErrorMessage: "Callback timed out" } };
      if (seconds > 0)
        later(execution, seconds * 1000, () => settle(execution, operation, "TIMED_OUT", { CallbackDetails: details }));
    }
  }

  /** Throws as AWS refuses: a callback that is not known or over. */
  function complete(callbackId: string, kind: "succeed" | "fail" | "heartbeat", body: Buffer): Answer {
    const found = byCallback.get(callbackId);
    if (found?.execution.status !== "RUNNING")
      return { status: 404, type: "ResourceNotFoundException", message: "There is no such callback" };
    const { execution, operation } = found;
    if (DONE.has(operation.Status))
      return { status: 400, type: "CallbackTimeoutException", message: "The callback is over" };
    if (kind === "heartbeat") return { status: 200, value: {} };
    const details = kind === "succeed" ? { Result: body.toString() } : { Error: JSON.parse(body.toString() || "{}") };
    settle(execution, operation, kind === "succeed" ? "SUCCEEDED" : "FAILED", {
      CallbackDetails: { CallbackId: callbackId, ...details },
    });
    execution.happened = true;
    void drive(execution);
    return { status: 200, value: {} };
  }

  /** Answers requests about executions; undefined when this is none. */
  function serve(method: string, url: URL, body: Buffer): Answer | undefined {
    const callback = /^\/2025-12-01\/durable-execution-callbacks\/([^/]+)\/(succeed|fail|heartbeat)$/.exec(
      url.pathname,
    );
    if (callback) return complete(decodeURIComponent(callback[1]!), callback[2] as "succeed", body);
    const asked = /^\/2025-12-01\/durable-executions\/([^/]+)(?:\/(checkpoint|state|stop))?$/.exec(url.pathname);
    if (!asked) return undefined;
    const execution = executions.get(decodeURIComponent(asked[1]!));
    if (!execution) return { status: 404, type: "ResourceNotFoundException", message: "There is no such execution" };
    switch (`${method} ${asked[2] ?? ""}`) {
      case "POST checkpoint": {
        if (body.length > LARGEST_CHECKPOINT) return refused(`${body.length} bytes exceed ${LARGEST_CHECKPOINT}`);
        const { CheckpointToken = "", Updates = [] } = JSON.parse(body.toString());
        return checkpoint(execution, CheckpointToken, Updates);
      }
      case "GET state": {
        const from = Number(url.searchParams.get("Marker") ?? 0);
        const visible = visibleOf(execution);
        const Operations = visible.slice(from, from + PAGE).map((operation) => shown(operation, (at) => at / 1000));
        const more = visible.length > from + PAGE;
        return { status: 200, value: { Operations, ...(more && { NextMarker: String(from + PAGE) }) } };
      }
      case "GET ": {
        const value = {
          DurableExecutionArn: execution.arn,
          DurableExecutionName: execution.name,
          FunctionArn: execution.arn.split("/")[0],
          StartTimestamp: execution.startedAt / 1000,
          Status: execution.status,
          Version: execution.version,
        };
        return { status: 200, value };
      }
      case "POST stop":
        execution.crash?.("the execution was stopped");
        end(execution, "STOPPED", { error: { errorType: "Stopped", errorMessage: "the execution was stopped" } });
        return { status: 200, value: { StopTimestamp: Date.now() / 1000 } };
      default:
        return undefined;
    }
  }

  return {
    start,
    serve,
    all: () => [...executions.values()] as readonly DurableExecution[],
    /** Ends every invocation that is under way, as if its process was killed. */
    crash(why: string) {
      for (const execution of executions.values()) {
        execution.token = "";
        execution.crash?.(why);
      }
    },
    /** Makes AWS forget executions that ended, as it does after their retention. */
    forget() {
      for (const execution of [...executions.values()].filter(({ status }) => status !== "RUNNING")) {
        executions.delete(execution.arn);
        byName.delete(`${execution.functionName}/${execution.name}`);
      }
    },
    close() {
      closed = true;
      for (const execution of executions.values()) {
        for (const timer of execution.timers) clearTimeout(timer);
        execution.crash?.("AWS closed");
      }
    },
  };
}

function waits(operation: Operation): boolean {
  return (
    operation.Status === "PENDING" ||
    operation.Status === "READY" ||
    (operation.Status === "STARTED" && (operation.Type === "WAIT" || operation.Type === "CALLBACK"))
  );
}

/** Without what lies in contexts that are done and do not need to be told again. */
function visibleOf({ known }: Kept): Operation[] {
  const hidden = new Set<string>();
  return [...known.values()].filter((operation) => {
    const parent = operation.ParentId === undefined ? undefined : known.get(operation.ParentId);
    const over = parent && DONE.has(parent.Status) && !parent.ContextDetails?.ReplayChildren;
    if (over || (parent && hidden.has(parent.Id))) hidden.add(operation.Id);
    return !hidden.has(operation.Id);
  });
}

function shown(operation: Operation, time: (at: number) => unknown): Json {
  const { StartTimestamp, EndTimestamp, StepDetails, WaitDetails, ...rest } = operation;
  const next = StepDetails?.NextAttemptTimestamp;
  return {
    ...rest,
    StartTimestamp: time(StartTimestamp),
    ...(EndTimestamp !== undefined && { EndTimestamp: time(EndTimestamp) }),
    ...(StepDetails && {
      StepDetails: { ...StepDetails, ...(next !== undefined && { NextAttemptTimestamp: time(next) }) },
    }),
    ...(WaitDetails && { WaitDetails: { ScheduledEndTimestamp: time(WaitDetails.ScheduledEndTimestamp) } }),
  };
}

function problemOf({ known }: Kept, update: Update, ids: ReadonlySet<string | undefined>): string | undefined {
  const { Id = "", Name, Type = "", Action = "", Payload = "" } = update;
  if (!/^[a-zA-Z0-9-_]{1,64}$/.test(Id)) return `An operation's id is of 64 characters: ${Id}`;
  if (Name !== undefined && !/^[\x20-\x7E]{1,256}$/.test(Name))
    return `An operation's name has other characters: ${Name}`;
  if (Buffer.byteLength(Payload) > LARGEST_PAYLOAD)
    return `A payload of ${Buffer.byteLength(Payload)} bytes is too large`;
  if (update.ParentId !== undefined && !ids.has(update.ParentId)) return `There is no parent ${update.ParentId}`;
  const before = known.get(Id);
  if (before && (before.Type !== Type || DONE.has(before.Status))) return `Cannot ${Action} ${Type} ${Id} any more`;
  if (!before && Action !== "START" && Type !== "EXECUTION" && Type !== "STEP" && Type !== "CONTEXT")
    return `Cannot ${Action} ${Type} ${Id}, which was not started`;
  const seconds = update.WaitOptions?.WaitSeconds ?? update.StepOptions?.NextAttemptDelaySeconds;
  const needsSeconds = (Type === "WAIT" && Action === "START") || Action === "RETRY";
  if (needsSeconds && !(Number.isInteger(seconds) && seconds! >= 1 && seconds! <= LONGEST_SECONDS))
    return `Cannot wait ${seconds} seconds`;
  return undefined;
}

function refused(message: string): Answer {
  return { status: 400, type: "InvalidParameterValueException", message };
}
