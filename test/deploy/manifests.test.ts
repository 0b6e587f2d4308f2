import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";

interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; labels?: Record<string, string> };
  // biome-ignore lint/suspicious/noExplicitAny: what it holds is what the schema is asked about.
  spec?: any;
}

type Validate = ((value: unknown) => boolean) & { errors?: unknown[] };

const folder = join(import.meta.dirname, "../../deploy/kubernetes");
const kustomization = parse(readFileSync(join(folder, "kustomization.yaml"), "utf8"));
const manifests: Manifest[] = kustomization.resources.flatMap((file: string) =>
  parseAllDocuments(readFileSync(join(folder, file), "utf8")).map((document) => document.toJS({ merge: true })),
);
const ofKind = (kind: string) => manifests.filter((manifest) => manifest.kind === kind);
const deployments = ofKind("Deployment");

/** Names of Kubernetes' published OpenAPI definitions, from which the package generated its validators. */
const definitions: Record<string, string> = {
  "v1/Namespace": "IoK8sApiCoreV1Namespace",
  "v1/ConfigMap": "IoK8sApiCoreV1ConfigMap",
  "v1/Service": "IoK8sApiCoreV1Service",
  "apps/v1/Deployment": "IoK8sApiAppsV1Deployment",
  "autoscaling/v2/HorizontalPodAutoscaler": "IoK8sApiAutoscalingV2HorizontalPodAutoscaler",
  "networking.k8s.io/v1/Ingress": "IoK8sApiNetworkingV1Ingress",
  "networking.k8s.io/v1/NetworkPolicy": "IoK8sApiNetworkingV1NetworkPolicy",
  "policy/v1/PodDisruptionBudget": "IoK8sApiPolicyV1PodDisruptionBudget",
};

describe("deploy/kubernetes", () => {
  test("kustomization.yaml lists every manifest of the folder", () => {
    const files = readdirSync(folder).filter((file) => file !== "kustomization.yaml");
    expect([...kustomization.resources].sort()).toEqual(files.sort());
  });

  test.for(manifests.map((manifest) => [`${manifest.kind} ${manifest.metadata.name}`, manifest] as const))(
    "%s fits Kubernetes' schema, and has no field that the schema does not know",
    async ([, manifest]) => {
      const definition = definitions[`${manifest.apiVersion}/${manifest.kind}`];
      const { validate } = (await import(`kubernetes-models/_schemas/${definition}`)) as { validate: Validate };
      const unread = new Set<string>();
      validate(watched(manifest, "", unread));
      expect(validate.errors ?? []).toEqual([]);
      expect([...unread]).toEqual([]);
    },
  );

  test.for(deployments.map((manifest) => [manifest.metadata.name, manifest.spec] as const))(
    "%s runs as nobody, on a file system that it cannot write, without a service account, and says when it is well",
    ([, { selector, template }]) => {
      const { spec, metadata } = template;
      expect(metadata.labels).toMatchObject(selector.matchLabels);
      expect(spec).toMatchObject({ automountServiceAccountToken: false, securityContext: { runAsNonRoot: true } });
      expect(spec.securityContext.seccompProfile.type).toBeDefined();
      for (const container of spec.containers) {
        expect(container.securityContext).toMatchObject({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
        });
        expect(Object.keys(container)).toEqual(
          expect.arrayContaining(["startupProbe", "livenessProbe", "readinessProbe", "resources"]),
        );
        // What is secret comes by reference.
        expect(container.envFrom).toContainEqual({ secretRef: { name: "millwright" } });
        for (const { name } of container.env ?? []) expect(name).not.toMatch(/KEY|SECRET|PASSWORD|TOKEN|DATABASE_URL/);
        const mounted = container.volumeMounts.map(({ name }: { name: string }) => name);
        expect(spec.volumes.map(({ name }: { name: string }) => name).sort()).toEqual(mounted.sort());
      }
    },
  );

  test("every deployment has a disruption budget, and only the sandbox workers are without a seccomp filter", () => {
    const budgets = ofKind("PodDisruptionBudget").map(({ spec }) => spec.selector.matchLabels);
    expect(budgets).toEqual(deployments.map(({ spec }) => spec.selector.matchLabels));
    const unconfined = deployments.filter(
      ({ spec }) => spec.template.spec.securityContext.seccompProfile.type !== "RuntimeDefault",
    );
    expect(unconfined.map(({ metadata }) => metadata.name)).toEqual(["millwright-sandbox-worker"]);
    const sandbox = unconfined[0]?.spec.template.spec;
    expect(sandbox.hostUsers).toBe(false);
    expect(sandbox.containers[0].securityContext.procMount).toBe("Unmasked");
  });

  test("network policies deny by default, let nobody but monitoring ask for metrics, and nothing reach the cloud's metadata", () => {
    const policies = new Map(ofKind("NetworkPolicy").map(({ metadata, spec }) => [metadata.name, spec]));
    expect(policies.get("millwright-default")).toEqual({ podSelector: {}, policyTypes: ["Ingress", "Egress"] });
    const peers = policies.get("millwright-metrics").ingress.flatMap(({ from }: { from: unknown[] }) => from);
    expect(peers).toEqual([{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "monitoring" } } }]);
    for (const { to = [] } of policies.get("millwright-egress").egress)
      for (const { ipBlock } of to) if (ipBlock) expect(ipBlock.except).toContain("169.254.0.0/16");
  });

  test("the configuration holds no secret", () => {
    for (const { data } of ofKind("ConfigMap") as unknown as { data: Record<string, string> }[])
      for (const name of Object.keys(data)) expect(name).not.toMatch(/KEY|SECRET|PASSWORD|TOKEN|DATABASE_URL/);
  });
});

/** The value, and which of its fields nobody asked for: a generated validator asks for each field that its schema has. */
function watched(value: unknown, path: string, unread: Set<string>): unknown {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map((entry, index) => watched(entry, `${path}[${index}]`, unread));
  for (const key of Object.keys(value)) unread.add(`${path}.${key}`);
  const members = Object.fromEntries(
    Object.entries(value).map(([key, member]) => [key, watched(member, `${path}.${key}`, unread)]),
  );
  return new Proxy(members, {
    get(target, key: string) {
      unread.delete(`${path}.${key}`);
      return target[key];
    },
  });
}
