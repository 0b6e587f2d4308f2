// Bundles the workflow that is named by its file, and writes the bundle to standard output as JSON.
import { bundleWorkflowCode, DefaultLogger } from "@temporalio/worker";

const [workflowsPath = ""] = process.argv.slice(2);
process.stdout.write(JSON.stringify(await bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger("ERROR") })));
