import { writeFileSync } from "node:fs";
import { z } from "zod";
import { modelAt, workRequest } from "../support.ts";

// Works in a process of its own that a test can kill: node work-in-child.ts URL DIRECTORY TRANSCRIPT
const [url, directory, transcriptFile] = process.argv.slice(2) as [string, string, string];
const request = workRequest(directory, {
  tools: [
    {
      name: "hang",
      description: "never ends",
      input: z.object({}),
      run: async () => {
        process.stdout.write("hanging");
        // A timer keeps the process alive.
        return new Promise<string>((resolve) => setTimeout(() => resolve(""), 60_000));
      },
    },
  ],
  onTurn: async ({ transcript }) => writeFileSync(transcriptFile, JSON.stringify(transcript)),
});
await modelAt(url).work(request);
