import { LambdaClient } from "@aws-sdk/client-lambda";
import {
  createLambdaEngine,
  type LambdaEngine,
  type LambdaEngineOptions,
} from "../../src/engine/lambda/lambda-engine.ts";
import { createExecutionStarter } from "../../src/engine/lambda/start-execution.ts";
import { createStore, type OpenStore } from "../../src/store/open-store.ts";
import { type LocalAws, startLocalAws } from "../support/local-aws/local-aws.ts";
import type { Deploy, EngineProcess, Stage } from "./engine.testsuite.ts";
import { empty, type Lines, passLeases, silent } from "./local-stage.ts";

export interface LambdaProcess extends EngineProcess {
  /** The engine of the newest version. */
  engine: LambdaEngine;
  store: OpenStore;
}

export interface LambdaStage extends Stage {
  boot(deploy: Deploy, over?: Partial<LambdaEngineOptions>): Promise<LambdaProcess>;
  aws: LocalAws;
  lines: Lines;
  lambda: LambdaClient;
  /** Settings of the function, for each process that boots from now on. */
  timeoutSeconds: number;
}

export const workerFunction = "worker";

/**
 * Stages on one database and one AWS on loopback, which the engine reaches by its own clients. A process is an
 * environment of the function: each version's code runs in it, as it was deployed.
 */
export async function openLambdaStages(
  lines: Lines,
): Promise<{ openStage: () => Promise<LambdaStage>; close(): Promise<void> }> {
  const openStage = async (): Promise<LambdaStage> => {
    await empty(lines.database.db);
    const aws = await startLocalAws();
    const lambda = new LambdaClient({ ...aws.client, maxAttempts: 2 });
    const versions: Deploy[] = [];
    let killed = false;
    const stage: LambdaStage = {
      aws,
      lambda,
      lines,
      timeoutSeconds: 900,
      deploys: "pinned",
      boot: async (deploy, over = {}) => {
        if (killed) await passLeases(lines.database.db);
        killed = false;
        versions.push(deploy);
        const line = await lines.openLine();
        const store = createStore(line.database);
        const engines = new Map<string, LambdaEngine>();
        const engineOf = (version: string): LambdaEngine => {
          const found = engines.get(version);
          if (found) return found;
          const code = versions[Number(version) - 1];
          if (!code) throw new Error(`There is no version ${version}`);
          const options = { lambda, functionName: `${workerFunction}:live`, store, log: silent, ...code };
          const engine = createLambdaEngine({ ...options, perRepositoryConcurrency: 4, ...over });
          engines.set(version, engine);
          return engine;
        };
        const newest = String(versions.length);
        const engine = engineOf(newest);
        // The webhook starts runs without a look at the database.
        const { start } = createExecutionStarter({ lambda, functionName: `${workerFunction}:live` });
        aws.lambda.functions.set(workerFunction, {
          durable: true,
          checkpoints: true,
          version: newest,
          timeoutSeconds: stage.timeoutSeconds,
          handler: (event, context) => engineOf(context.functionVersion).handler(event as never, context as never),
        });
        let ended: Promise<void> | undefined;
        const leave = (why: string) => {
          if (ended !== undefined) return ended;
          aws.lambda.functions.delete(workerFunction);
          aws.lambda.executions.crash(why);
          ended = line.close();
          return ended;
        };
        return {
          engine: { ...engine, start: over.startedWithinSeconds === undefined ? start : engine.start },
          store,
          kill: () => {
            killed = true;
            line.cut();
            void leave("killed");
          },
          end: async () => leave("ended"),
        };
      },
      forget: async () => aws.lambda.executions.forget(),
      close: async () => {
        await aws.close();
        lambda.destroy();
      },
    };
    return stage;
  };
  return { openStage, close: lines.close };
}
