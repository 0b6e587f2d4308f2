import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bundleWebhook } from "../../deploy/lambda/bundle.ts";
import { readIntakeConfig } from "../../src/config/intake.ts";
import { readOperatorConfig } from "../../src/config/operator.ts";
import { type Resolved, type Resource, resourcesOf } from "./template.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const osls = join(root, "node_modules/osls/bin/serverless.js");
const required = {
  appId: "4242",
  appSlug: "millwright",
  databaseUrlSecret: "millwright/database-url",
  workerImage: `123456789012.dkr.ecr.eu-central-1.amazonaws.com/worker@sha256:${"1".repeat(64)}`,
  sandboxImage: `123456789012.dkr.ecr.eu-central-1.amazonaws.com/sandbox@sha256:${"2".repeat(64)}`,
};
const everything = {
  ...required,
  webhookSecretPreviousParameter: "/old/webhook-secret",
  modelProvider: "bedrock",
  channelsParameter: "/told/channels",
  egressProxyService: "com.amazonaws.vpce.eu-central-1.vpce-svc-0123456789abcdef0",
  egressProxyPort: "8080",
  workerSubnets: "subnet-1,subnet-2",
  workerSecurityGroups: "sg-1",
  alarmEmail: "operator@example.com",
};

const service = mkdtempSync(join(tmpdir(), "service-"));
/** What `osls package` makes of the required parameters alone, and of all of them. */
let plain: Record<string, Resource>;
let full: Record<string, Resource>;

beforeAll(async () => {
  cpSync(join(root, "serverless.yml"), join(service, "serverless.yml"));
  cpSync(join(root, "deploy"), join(service, "deploy"), { recursive: true });
  await bundleWebhook(join(service, "build/lambda/webhook.mjs"));
  plain = await packaged("plain", required);
  full = await packaged("full", everything);
});

afterAll(() => rmSync(service, { recursive: true, force: true }));

async function packaged(name: string, parameters: Record<string, string>): Promise<Record<string, Resource>> {
  const given = Object.entries(parameters).map(([key, value]) => `--param=${key}=${value}`);
  const { PATH, HOME } = process.env;
  await promisify(execFile)(process.execPath, [osls, "package", "--package", join(service, name), ...given], {
    cwd: service,
    // No credentials and no region of this machine.
    env: { PATH, HOME, SLS_TELEMETRY_DISABLED: "1" },
    timeout: 100_000,
  });
  const file = join(service, name, "cloudformation-template-update-stack.json");
  return resourcesOf(JSON.parse(readFileSync(file, "utf8")) as Parameters<typeof resourcesOf>[0]);
}

function ofType(resources: Record<string, Resource>, type: string): [string, Resource["Properties"]][] {
  return Object.entries(resources).flatMap(([name, { Type, Properties }]) =>
    Type === type ? [[name, Properties]] : [],
  );
}

function properties(resources: Record<string, Resource>, name: string): Record<string, Resolved> {
  const found = resources[name];
  if (found === undefined) throw new Error(`The template has no ${name}`);
  return found.Properties;
}

interface Statement {
  Effect: string;
  Action: string | string[];
  Resource: string | string[];
  Condition?: Resolved;
}

/** What a role may do, each permission as one line: `Allow action on resource`. */
function permissions(resources: Record<string, Resource>, role: string): string[] {
  const { Policies, ManagedPolicyArns } = properties(resources, role) as unknown as {
    Policies: { PolicyDocument: { Statement: Statement[] } }[];
    ManagedPolicyArns?: string[];
  };
  expect(ManagedPolicyArns).toBeUndefined();
  const attached = ofType(resources, "AWS::IAM::Policy")
    .filter(([, policy]) => (policy["Roles"] as string[]).includes(role))
    .map(([, policy]) => policy as unknown as { PolicyDocument: { Statement: Statement[] } });
  return [...Policies, ...attached]
    .flatMap(({ PolicyDocument }) => PolicyDocument.Statement)
    .flatMap(({ Effect, Action, Resource: on, Condition }) =>
      [Action].flat().flatMap((action) =>
        [on].flat().map((resource) => {
          const short = resource.replace(/^arn:aws:([a-z0-9-]+):(eu-central-1)?:(123456789012)?:/, "");
          return `${Effect} ${action} on ${short}${Condition === undefined ? "" : ` if ${JSON.stringify(Condition)}`}`;
        }),
      ),
    )
    .toSorted();
}

const allowed = (action: string, on: string[]) => on.map((resource) => `Allow ${action} on ${resource}`);
const logs = (name: string) =>
  ["logs:CreateLogStream", "logs:PutLogEvents"].flatMap((action) =>
    allowed(action, [`log-group:/aws/lambda/millwright-production-${name}:*`]),
  );
const network = [
  "AssignPrivateIpAddresses",
  "CreateNetworkInterface",
  "DeleteNetworkInterface",
  "DescribeNetworkInterfaces",
  "DescribeSubnets",
  "UnassignPrivateIpAddresses",
].map((action) => `Allow ec2:${action} on *`);
const worker = "function:millwright-production-worker";
/** With the required parameters alone there is a model key, with all of them Bedrock and channels. */
const secrets = (modelKey: boolean) => [
  ...allowed("ssm:GetParameters", [
    "parameter/millwright/production/private-key",
    "parameter/millwright/production/webhook-secret",
    modelKey ? "parameter/millwright/production/anthropic-api-key" : "parameter/told/channels",
  ]),
  ...allowed("secretsmanager:GetSecretValue", ["secret:millwright/database-url-??????"]),
];
const blobs = [
  ...["s3:GetObject", "s3:PutObject", "s3:DeleteObject"].flatMap((action) => allowed(action, ["Bucket.Arn/*"])),
  ...allowed("s3:ListBucket", ["Bucket.Arn"]),
];
const control = [
  ...allowed("lambda:InvokeFunction", [`${worker}:durable`]),
  ...allowed("lambda:GetDurableExecution", [`${worker}:*`]),
  ...allowed("lambda:SendDurableExecutionCallbackSuccess", [`${worker}:*`]),
];
const deadLetters = allowed("sqs:SendMessage", ["DeadLetters.Arn"]);
const noCall = (name: string) =>
  `Deny * on * if ${JSON.stringify({ ArnLike: { "lambda:SourceFunctionArn": `arn:aws:lambda:eu-central-1:123456789012:function:millwright-production-${name}` } })}`;

describe("the roles of serverless.yml", () => {
  test("WebhookRole reads the webhook's secrets, starts the worker and writes its log", () => {
    const least = [
      ...logs("webhook"),
      ...allowed("ssm:GetParameters", ["parameter/millwright/production/webhook-secret"]),
      ...allowed("lambda:InvokeFunction", [`${worker}:durable`]),
    ];
    expect(permissions(plain, "WebhookRole")).toEqual(least.toSorted());
    const rotating = [...least, ...allowed("ssm:GetParameters", ["parameter/old/webhook-secret"])];
    expect(permissions(full, "WebhookRole")).toEqual(rotating.toSorted());
  });

  test("WorkerRole reads its secrets, uses the bucket, and calls its own executions and the sandbox", () => {
    const least = [
      ...logs("worker"),
      ...blobs,
      ...control,
      ...deadLetters,
      ...allowed("lambda:CheckpointDurableExecution", [`${worker}:*`]),
      ...allowed("lambda:GetDurableExecutionState", [`${worker}:*`]),
      ...allowed("lambda:InvokeFunction", ["function:millwright-production-sandbox"]),
    ];
    expect(permissions(plain, "WorkerRole")).toEqual([...least, ...secrets(true)].toSorted());
    const models = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"].flatMap((action) =>
      allowed(action, [
        "arn:aws:bedrock:*::foundation-model/anthropic.*",
        "arn:aws:bedrock:*:123456789012:inference-profile/*.anthropic.*",
      ]),
    );
    const more = [...allowed("lambda:InvokeFunction", ["function:millwright-production-setup"]), ...models, ...network];
    expect(permissions(full, "WorkerRole")).toEqual([...least, ...secrets(false), ...more].toSorted());
  });

  test("ReconcileRole reads the secrets, uses the bucket and wakes runs, but calls no sandbox", () => {
    const least = [...logs("reconcile"), ...blobs, ...control, ...deadLetters, ...secrets(true)];
    expect(permissions(plain, "ReconcileRole")).toEqual(least.toSorted());
  });

  test("SandboxRole and SetupRole attach to their network, and deny whatever the function's own code calls", () => {
    expect(permissions(plain, "SandboxRole")).toEqual([...network, noCall("sandbox")].toSorted());
    expect(permissions(full, "SandboxRole")).toEqual([...network, noCall("sandbox")].toSorted());
    expect(permissions(full, "SetupRole")).toEqual([...network, noCall("setup")].toSorted());
    expect(plain["SetupRole"]).toBeUndefined();
  });

  test("serverless.yml gives each function a role of its own, which Lambda alone may take", () => {
    const functions = ofType(full, "AWS::Lambda::Function").map(([, { Role }]) => Role);
    expect(functions.toSorted()).toEqual(
      ["Reconcile", "Sandbox", "Setup", "Webhook", "Worker"].map((name) => `${name}Role.Arn`),
    );
    const roles = ofType(full, "AWS::IAM::Role");
    expect(roles).toHaveLength(5);
    for (const [, { AssumeRolePolicyDocument }] of roles) {
      expect((AssumeRolePolicyDocument as unknown as { Statement: unknown }).Statement).toEqual([
        { Effect: "Allow", Principal: { Service: "lambda.amazonaws.com" }, Action: "sts:AssumeRole" },
      ]);
    }
  });

  test("serverless.yml lets strangers invoke the webhook by its address alone", () => {
    const permitted = ofType(full, "AWS::Lambda::Permission").map(([, it]) => [
      it["FunctionName"],
      it["Principal"],
      it["Action"],
    ]);
    expect(permitted.toSorted()).toEqual([
      ["ReconcileLambdaFunction.Arn", "events.amazonaws.com", "lambda:InvokeFunction"],
      ["WebhookLambdaFunction.Arn", "*", "lambda:InvokeFunction"],
      ["WebhookLambdaFunction.Arn", "*", "lambda:InvokeFunctionUrl"],
    ]);
    expect(properties(full, "WebhookLambdaPermissionFn")).toMatchObject({ InvokedViaFunctionUrl: true });
    expect(ofType(full, "AWS::Lambda::Url").map(([, it]) => it["TargetFunctionArn"])).toEqual([
      "WebhookLambdaFunction.Arn",
    ]);
  });
});

/** The variables of a function. */
function environment(resources: Record<string, Resource>, name: string): Record<string, string> {
  const { Environment } = properties(resources, `${name}LambdaFunction`) as {
    Environment?: { Variables: Record<string, string> };
  };
  return Environment?.Variables ?? {};
}

describe("the environments of serverless.yml", () => {
  const bare = [
    ...["PRIVATE_KEY", "WEBHOOK_SECRET", "WEBHOOK_SECRET_PREVIOUS", "ANTHROPIC_API_KEY", "DATABASE_URL"],
    "MILLWRIGHT_CHANNELS",
  ];

  test.each(["Webhook", "Worker", "Reconcile"])("%s is told where its secrets are, and no secret", (name) => {
    for (const variables of [environment(plain, name), environment(full, name)]) {
      expect(Object.keys(variables).filter((variable) => bare.includes(variable))).toEqual([]);
      const places = Object.entries(variables).filter(([variable]) => /_(PARAMETER|SECRET)$/.test(variable));
      for (const [, place] of places) expect(place).toMatch(/^(\/[\w/-]+|millwright\/database-url|)$/);
      expect(places.length).toBeGreaterThan(1);
    }
  });

  test("Sandbox and Setup have no variable at all", () => {
    expect(properties(full, "SandboxLambdaFunction")).not.toHaveProperty("Environment");
    expect(properties(full, "SetupLambdaFunction")).not.toHaveProperty("Environment");
  });

  test("every place that a function is told is one that its role may read", () => {
    for (const resources of [plain, full]) {
      for (const name of ["Webhook", "Worker", "Reconcile"]) {
        const told = Object.entries(environment(resources, name)).flatMap(([variable, place]) => {
          if (place === "") return [];
          if (/_PARAMETER$/.test(variable)) return [`Allow ssm:GetParameters on parameter${place}`];
          return /_SECRET$/.test(variable) ? [`Allow secretsmanager:GetSecretValue on secret:${place}-??????`] : [];
        });
        const readable = permissions(resources, `${name}Role`).filter((line) =>
          /GetParameters|GetSecretValue/.test(line),
        );
        expect(told.toSorted()).toEqual(readable);
      }
    }
  });

  test("Webhook has all that readIntakeConfig asks for, once its secret is read", () => {
    const config = readIntakeConfig({ ...environment(plain, "Webhook"), WEBHOOK_SECRET: "a secret of a test" });
    expect(config).toMatchObject({
      app: { id: 4242, slug: "millwright" },
      workerFunction: "millwright-production-worker:durable",
    });
  });

  test.each(["Worker", "Reconcile"])(
    "%s has all that readOperatorConfig asks for, once its secrets are read",
    (name) => {
      const secrets = {
        PRIVATE_KEY: "-----BEGIN RSA PRIVATE KEY-----",
        WEBHOOK_SECRET: "a secret of a test",
        DATABASE_URL: "postgres://localhost/millwright",
      };
      const { app, sandbox, bucket } = readOperatorConfig({
        ...environment(plain, name),
        ...secrets,
        ANTHROPIC_API_KEY: "a key",
      });
      expect({ id: app.id, bucket, backend: sandbox.backend, proxy: sandbox.egressProxy }).toEqual({
        id: 4242,
        bucket: "Bucket",
        backend: "lambda",
        proxy: undefined,
      });
      expect(sandbox.image).toBe(required.sandboxImage);
      // The address of the proxy is known at the deploy alone.
      const proxied = { ...environment(full, name), MILLWRIGHT_EGRESS_PROXY: "http://proxy.example:8080" };
      expect(readOperatorConfig({ ...proxied, ...secrets }).sandbox.setupFunction).toBe("millwright-production-setup");
    },
  );

  test("Worker has a set-up function and a proxy only where there is one", () => {
    expect(environment(plain, "Worker")).toMatchObject({
      MILLWRIGHT_SANDBOX: "lambda",
      MILLWRIGHT_SANDBOX_FUNCTION: "millwright-production-sandbox",
      MILLWRIGHT_SANDBOX_IMAGE: required.sandboxImage,
      MILLWRIGHT_BUCKET: "Bucket",
      MILLWRIGHT_SETUP_FUNCTION: "",
      MILLWRIGHT_EGRESS_PROXY: "",
    });
    expect(environment(full, "Worker")).toMatchObject({
      MILLWRIGHT_SETUP_FUNCTION: "millwright-production-setup",
      MILLWRIGHT_EGRESS_PROXY: expect.stringMatching(/^http:\/\/.*EgressProxyEndpoint\.DnsEntries.*:8080$/),
      MILLWRIGHT_PROVIDER: "bedrock",
      MILLWRIGHT_ANTHROPIC_API_KEY_PARAMETER: "",
    });
  });
});

describe("the functions of serverless.yml", () => {
  test("Worker is a durable function whose executions keep the version that they began with", () => {
    expect(properties(plain, "WorkerLambdaFunction")).toMatchObject({
      FunctionName: "millwright-production-worker",
      PackageType: "Image",
      Code: { ImageUri: required.workerImage },
      DurableConfig: { ExecutionTimeout: 30 * 86_400, RetentionPeriodInDays: 14 },
      Timeout: 900,
    });
    expect(properties(plain, "WorkerDurableLambdaAlias")).toMatchObject({
      Name: "durable",
      FunctionVersion: expect.stringMatching(/^WorkerLambdaVersion\w+\.Version$/),
    });
    expect(environment(plain, "Webhook")["MILLWRIGHT_WORKER_FUNCTION"]).toBe("millwright-production-worker:durable");
  });

  test("Sandbox and Setup are isolated by tenant, and run in the closed network", () => {
    for (const name of ["Sandbox", "Setup"]) {
      expect(properties(full, `${name}LambdaFunction`)).toMatchObject({
        TenancyConfig: { TenantIsolationMode: "PER_TENANT" },
        VpcConfig: { SubnetIds: ["SubnetA", "SubnetB"], SecurityGroupIds: [`${name}Group`] },
        Code: { ImageUri: required.sandboxImage },
      });
    }
    expect(plain["SetupLambdaFunction"]).toBeUndefined();
  });

  test("Worker and Reconcile are in a network of the operator's where one is named", () => {
    for (const name of ["WorkerLambdaFunction", "ReconcileLambdaFunction"]) {
      expect(properties(plain, name)).not.toHaveProperty("VpcConfig");
      expect(properties(full, name)["VpcConfig"]).toEqual({
        SubnetIds: ["subnet-1", "subnet-2"],
        SecurityGroupIds: ["sg-1"],
      });
    }
  });

  test("every function has reserved concurrency and a time limit", () => {
    for (const [name, { ReservedConcurrentExecutions, Timeout }] of ofType(full, "AWS::Lambda::Function")) {
      expect({ name, ReservedConcurrentExecutions, Timeout }).toEqual({
        name,
        ReservedConcurrentExecutions: expect.any(Number),
        Timeout: expect.any(Number),
      });
      expect(Timeout).toBeLessThanOrEqual(900);
    }
    expect(properties(full, "ReconcileLambdaFunction")["ReservedConcurrentExecutions"]).toBe(1);
  });

  test("what is invoked by events has a bounded age and few retries, and a queue for what fails", () => {
    const configs = ofType(full, "AWS::Lambda::EventInvokeConfig").map(([, it]) => [
      it["FunctionName"],
      it["Qualifier"],
      it["MaximumEventAgeInSeconds"],
      it["MaximumRetryAttempts"],
    ]);
    expect(configs.toSorted()).toEqual([
      ["ReconcileLambdaFunction", "$LATEST", 300, 0],
      ["SandboxLambdaFunction", "$LATEST", 60, 0],
      ["SetupLambdaFunction", "$LATEST", 60, 0],
      // AWS takes no retries for durable functions.
      ["WorkerLambdaFunction", "durable", 3600, undefined],
    ]);
    for (const name of ["WorkerLambdaFunction", "ReconcileLambdaFunction"])
      expect(properties(full, name)["DeadLetterConfig"]).toEqual({ TargetArn: "DeadLetters.Arn" });
    expect(properties(full, "DeadLetters")).toMatchObject({ SqsManagedSseEnabled: true });
  });

  test("Reconcile runs every five minutes, from the worker's image", () => {
    const [rule] = ofType(plain, "AWS::Events::Rule");
    expect(rule?.[1]).toMatchObject({ ScheduleExpression: "rate(5 minutes)", State: "ENABLED" });
    expect(properties(plain, "ReconcileLambdaFunction")).toMatchObject({
      Code: { ImageUri: required.workerImage },
      ImageConfig: { Command: ["/app/src/run/lambda/reconcile.ts"] },
    });
  });

  test("the webhook's package is its bundle and nothing else", () => {
    const zip = readFileSync(join(service, "plain", "webhook.zip"));
    expect(zip.length).toBeLessThan(5_000_000);
    expect(namesIn(zip)).toEqual(["build/lambda/webhook.mjs"]);
    expect(properties(plain, "WebhookLambdaFunction")["Handler"]).toBe("build/lambda/webhook.handler");
  });
});

/** Names of the files in a zip, from its central directory. */
function namesIn(zip: Buffer): string[] {
  const names: string[] = [];
  const header = Buffer.from([0x50, 0x4b, 0x01, 0x02]);
  for (let at = zip.indexOf(header); at >= 0; at = zip.indexOf(header, at + 46))
    names.push(zip.toString("utf8", at + 46, at + 46 + zip.readUInt16LE(at + 28)));
  return names;
}

describe("the network of serverless.yml", () => {
  test("the sandbox's network has one way out, to the bucket", () => {
    const types = new Set(Object.values(plain).map(({ Type }) => Type));
    const ways = [
      "AWS::EC2::InternetGateway",
      "AWS::EC2::NatGateway",
      "AWS::EC2::EgressOnlyInternetGateway",
      "AWS::EC2::TransitGatewayAttachment",
      "AWS::EC2::VPCPeeringConnection",
      "AWS::EC2::Route",
    ];
    expect(ways.filter((way) => types.has(way))).toEqual([]);
    expect(ofType(plain, "AWS::EC2::VPCEndpoint")).toEqual([
      [
        "BucketEndpoint",
        {
          VpcEndpointType: "Gateway",
          VpcId: "Vpc",
          RouteTableIds: ["Routes"],
          ServiceName: "com.amazonaws.eu-central-1.s3",
          PolicyDocument: {
            Version: "2012-10-17",
            Statement: [
              {
                Effect: "Allow",
                Principal: "*",
                Action: ["s3:GetObject", "s3:PutObject"],
                Resource: "Bucket.Arn/*",
                Condition: { StringEquals: { "aws:PrincipalAccount": "123456789012" } },
              },
            ],
          },
        },
      ],
    ]);
    for (const [name, group] of ofType(plain, "AWS::EC2::SecurityGroup")) {
      expect({ name, in: group["SecurityGroupIngress"] }).toEqual({ name, in: undefined });
      expect(group["SecurityGroupEgress"]).toEqual([
        { IpProtocol: "tcp", FromPort: 443, ToPort: 443, CidrIp: "0.0.0.0/0" },
      ]);
    }
  });

  test("the resolver answers for the bucket's name alone", () => {
    expect(properties(plain, "AllowedNames")["Domains"]).toEqual([
      "Bucket.s3.eu-central-1.amazonaws.com",
      "Bucket.s3.amazonaws.com",
    ]);
    expect(properties(plain, "AllNames")["Domains"]).toEqual(["*"]);
    const rules = properties(plain, "NameRules")["FirewallRules"] as {
      Priority: number;
      Action: string;
      FirewallDomainListId: string;
    }[];
    expect(rules.map(({ Priority, Action, FirewallDomainListId }) => [Priority, Action, FirewallDomainListId])).toEqual(
      [
        [1, "ALLOW", "AllowedNames"],
        [2, "BLOCK", "AllNames"],
      ],
    );
    expect(properties(plain, "NameRulesOfVpc")).toMatchObject({ FirewallRuleGroupId: "NameRules", VpcId: "Vpc" });
  });

  test("the egress proxy takes connections of Setup alone", () => {
    expect(properties(full, "EgressProxyEndpoint")).toMatchObject({
      VpcEndpointType: "Interface",
      ServiceName: everything.egressProxyService,
      SecurityGroupIds: ["EgressProxyGroup"],
    });
    expect(properties(full, "EgressProxyGroup")["SecurityGroupIngress"]).toEqual([
      { IpProtocol: "tcp", FromPort: "8080", ToPort: "8080", SourceSecurityGroupId: "SetupGroup" },
    ]);
    expect(ofType(full, "AWS::EC2::SecurityGroupEgress").map(([, it]) => it)).toEqual([
      {
        GroupId: "SetupGroup",
        IpProtocol: "tcp",
        FromPort: "8080",
        ToPort: "8080",
        DestinationSecurityGroupId: "EgressProxyGroup",
      },
    ]);
    expect(plain["EgressProxyEndpoint"]).toBeUndefined();
  });
});

describe("what serverless.yml keeps and watches", () => {
  test("the bucket is private, encrypted, and empties itself", () => {
    expect(properties(plain, "Bucket")).toMatchObject({
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      },
      BucketEncryption: {
        ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: { SSEAlgorithm: "AES256" } }],
      },
      OwnershipControls: { Rules: [{ ObjectOwnership: "BucketOwnerEnforced" }] },
    });
    const { Rules } = properties(plain, "Bucket")["LifecycleConfiguration"] as unknown as {
      Rules: Record<string, Resolved>[];
    };
    expect(Rules.map(({ Status, Prefix, ExpirationInDays }) => [Status, Prefix, ExpirationInDays])).toEqual([
      ["Enabled", undefined, 45],
      ["Enabled", "trees/", 1],
      ["Enabled", undefined, undefined],
    ]);
    expect(
      (properties(plain, "BucketPolicy")["PolicyDocument"] as unknown as { Statement: unknown[] }).Statement,
    ).toMatchObject([
      { Effect: "Deny", Principal: "*", Action: "s3:*", Condition: { Bool: { "aws:SecureTransport": "false" } } },
    ]);
  });

  test("logs are kept for 14 days, and repository code writes none", () => {
    const groups = ofType(full, "AWS::Logs::LogGroup").map(([, it]) => [it["LogGroupName"], it["RetentionInDays"]]);
    expect(groups.toSorted()).toEqual(
      ["reconcile", "webhook", "worker"].map((name) => [`/aws/lambda/millwright-production-${name}`, 14]),
    );
  });

  test("alarms watch errors, throttles, durations, the age of events and the dead letters, and tell the topic", () => {
    const alarms = ofType(full, "AWS::CloudWatch::Alarm");
    const watched = alarms.map(([, it]) => {
      const [dimension] = (it["Dimensions"] ?? []) as { Value: string }[];
      return `${dimension?.Value.replace("millwright-production-", "") ?? it["Namespace"]} ${it["MetricName"]}`;
    });
    expect(watched.toSorted()).toEqual(
      [
        ...["webhook", "worker", "sandbox", "setup", "reconcile"].flatMap((name) => [
          `${name} Errors`,
          `${name} Throttles`,
        ]),
        ...["webhook", "worker", "reconcile"].map((name) => `${name} Duration`),
        "webhook Url5xxCount",
        "worker AsyncEventAge",
        "worker AsyncEventsDropped",
        "DeadLetters.QueueName ApproximateNumberOfMessagesVisible",
        "millwright-production WrongSignatures",
        "millwright-production FailedRuns",
      ].toSorted(),
    );
    for (const [name, it] of alarms) {
      expect({ name, actions: it["AlarmActions"] }).toEqual({ name, actions: ["Alarms"] });
      expect(it["ComparisonOperator"]).toBe("GreaterThanThreshold");
    }
    for (const [name, { Timeout }] of ofType(full, "AWS::Lambda::Function")) {
      const duration = full[`${name.replace("LambdaFunction", "")}DurationAlarm`];
      if (duration !== undefined) expect(duration.Properties["Threshold"]).toBeLessThan(Number(Timeout) * 1000);
    }
    const counted = ofType(full, "AWS::Logs::MetricFilter").map(([, it]) => {
      const [metric] = it["MetricTransformations"] as { MetricNamespace: string; MetricName: string }[];
      return [it["LogGroupName"], it["FilterPattern"], `${metric?.MetricNamespace} ${metric?.MetricName}`];
    });
    expect(counted.toSorted()).toEqual([
      ["WebhookLogGroup", "{ $.status = 401 }", "millwright-production WrongSignatures"],
      ["WorkerLogGroup", '{ $.msg = "run ended" && $.outcome = "failed" }', "millwright-production FailedRuns"],
    ]);
    expect(properties(full, "AlarmEmail")).toMatchObject({ TopicArn: "Alarms", Endpoint: "operator@example.com" });
    expect(plain["AlarmEmail"]).toBeUndefined();
  });
});

describe("a deploy", () => {
  test("fails with the names of the parameters that are missing", async () => {
    const { appId, ...others } = required;
    const failed = await packaged("none", {}).catch(
      (error: { stdout: string; stderr: string }) => error.stderr + error.stdout,
    );
    for (const name of ["appId", ...Object.keys(others)]) expect(failed).toContain(`custom.required.${name}"`);
    expect(appId).toBe("4242");
  });

  test("fails with databaseUrlSecret when that alone is missing", async () => {
    const { databaseUrlSecret: _, ...others } = required;
    const failed = await packaged("none", others).catch(
      (error: { stdout: string; stderr: string }) => error.stderr + error.stdout,
    );
    expect(failed).toContain('custom.required.databaseUrlSecret"');
    expect(failed).not.toContain("custom.required.appId");
  });
});
