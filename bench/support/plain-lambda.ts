import { createLambdaFunction, createProbot } from "@probot/adapter-aws-lambda-serverless";
import type { Probot } from "probot";

// Probot's own template for AWS Lambda, with an app that does nothing. Its adapter rejects events that come before
// Probot is ready. https://github.com/probot/adapter-aws-lambda-serverless#usage
const probot: Probot = createProbot();
await probot.ready();

export const handler = createLambdaFunction(() => undefined, { probot });
