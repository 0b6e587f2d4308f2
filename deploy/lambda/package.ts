import { bundleSandboxHandler, bundleWebhook } from "./bundle.ts";

// What `serverless.yml` and the Dockerfile take from build/.
await bundleWebhook("build/lambda/webhook.mjs");
await bundleSandboxHandler("build/lambda/sandbox.mjs");
