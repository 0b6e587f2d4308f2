import { Client, Connection } from "@temporalio/client";
import type { TemporalConfig } from "../../src/config/temporal.ts";
import { dataConverterOf } from "../../src/engine/temporal/connection.ts";
import { type Scenario, startScenario } from "../support/scenario.ts";
import type { TemporalServer } from "../support/temporal.ts";

/** The whole App on a real Temporal server, with GitHub and the model as stand-ins. */
export interface TemporalScenario extends Scenario {
  client: Client;
}

export async function startTemporalScenario(
  on: { server: TemporalServer; databaseUrl: string },
  options: Parameters<typeof startScenario>[0] & { keys?: TemporalConfig["keys"] } = {},
): Promise<TemporalScenario> {
  const { keys = [] } = options;
  const connection = await Connection.connect({ address: on.server.address });
  const client = new Client({ connection, dataConverter: dataConverterOf({ keys }) });
  const scenario = await startScenario({
    ...options,
    environment: {
      DATABASE_URL: on.databaseUrl,
      MILLWRIGHT_ENGINE: "temporal",
      MILLWRIGHT_TEMPORAL_ADDRESS: on.server.address,
      ...(keys.length === 0
        ? {}
        : {
            MILLWRIGHT_TEMPORAL_KEY: keys.map(({ id, secret }) => `${id}:${secret.toString("base64")}`).join(","),
          }),
      ...options.environment,
    },
  });
  // The scenario's own object: a restart replaces its app.
  return Object.assign(scenario, {
    client,
    close: closeBoth(scenario.close.bind(scenario), connection),
  });
}

function closeBoth(close: () => Promise<void>, connection: Connection): () => Promise<void> {
  return async () => {
    await close();
    await connection.close();
  };
}
