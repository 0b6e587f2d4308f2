import { afterAll, beforeAll, describe } from "vitest";
import { type Postgres, postgresAvailable, startPostgres } from "../support/postgres.ts";
import { startTemporal, type TemporalServer, temporalAvailable, temporalMissing } from "../support/temporal.ts";
import { engineSuite } from "./engine.testsuite.ts";
import { openTemporalStages, type TemporalStage } from "./temporal-stage.ts";

const available = (postgresAvailable && temporalAvailable) || process.env.CI === "true";

describe.skipIf(!available)(`Temporal (${temporalMissing})`, () => {
  let postgres: Postgres;
  let server: TemporalServer;
  let stages: Awaited<ReturnType<typeof openTemporalStages>>;
  beforeAll(async () => {
    [postgres, server] = await Promise.all([startPostgres(), startTemporal()]);
    stages = await openTemporalStages(server, await postgres.createDatabase());
  });
  afterAll(async () => {
    await stages?.close();
    await Promise.all([server?.stop(), postgres?.stop()]);
  });
  const openStage = (): Promise<TemporalStage> => stages.openStage();
  engineSuite("temporalEngine", openStage);
});
