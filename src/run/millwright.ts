#!/usr/bin/env node
import { modelsCheck } from "./models-check.ts";

const help = `Usage: npx millwright <command>

  models check [name…]   asks every configured model two tiny questions: what works, what it costs
`;

/** Commands for people at a terminal. */
async function main(): Promise<void> {
  const [group, command, ...rest] = process.argv.slice(2);
  if (group === "models" && command === "check") return modelsCheck(rest);
  const asksForHelp = group === undefined || group === "help" || group === "--help";
  (asksForHelp ? process.stdout : process.stderr).write(help);
  if (!asksForHelp) process.exitCode = 1;
}

await main();
