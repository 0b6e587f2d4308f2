import type { FailureAnalysis } from "../../../agent/schemas.ts";
import { neutralise } from "../../../policy/neutralise.ts";

const clean = (text: string, maxBytes = 2_000) => neutralise(text, { allowHosts: [], maxBytes });

/** The analysis of a failure as people read it: cause, evidence, what to do, and how sure it is. */
export function explanation(analysis: FailureAnalysis, evidenceHolds: boolean): string {
  const quotes = analysis.evidence.map((quote) => clean(quote).replaceAll("```", "ʼʼʼ"));
  return [
    `**Cause** (${analysis.category}, confidence ${analysis.confidence} of 100): ${clean(analysis.rootCause)}`,
    "",
    ...(evidenceHolds ? ["From the log:"] : ["The analysis quotes this, which was **not found in the log**:"]),
    "```text",
    ...quotes,
    "```",
    "",
    `**What to do**: ${clean(analysis.strategy)}`,
    ...(analysis.files.length === 0
      ? []
      : [
          "",
          `**Files**: ${analysis.files
            .slice(0, 8)
            .map((path) => `\`${path.replaceAll(/[`\r\n]/g, "'")}\``)
            .join(", ")}`,
        ]),
  ].join("\n");
}
