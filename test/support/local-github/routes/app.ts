import { createHash, generateKeyPairSync, randomBytes } from "node:crypto";
import { ApiError, notFound } from "../errors.ts";
import { type Call, created, noContent, ok, type Route, route } from "../http.ts";
import { fullRepository, installationJson, integration, publicUser, repositoryJson, time } from "../serialise.ts";
import type { Installation, Permissions, Repository } from "../types.ts";
import { DEFAULT_EVENTS, DEFAULT_PERMISSIONS, permits } from "../world.ts";

export const appRoutes: Route[] = [
  route("GET /app", { caller: "app" }, (call) =>
    ok({ ...integration(call.world, call.app), installations_count: installations(call).length }),
  ),
  route("GET /app/installations", { caller: "app" }, (call) =>
    call.page(installations(call), (installation) => installationJson(call.world, installation)),
  ),
  route("GET /app/installations/{installation_id}", { caller: "app" }, (call) =>
    ok(installationJson(call.world, installationOf(call))),
  ),
  route("DELETE /app/installations/{installation_id}", { caller: "app" }, (call) => {
    call.world.installations.delete(installationOf(call).id);
    return noContent();
  }),
  route("POST /app/installations/{installation_id}/access_tokens", { caller: "app" }, (call) => {
    const installation = installationOf(call);
    if (installation.suspendedAt) throw new ApiError(403, "This installation has been suspended");
    const repositories = narrowed(call, installation);
    const permissions = narrowedPermissions(call, installation);
    const ids = repositories?.map((repository) => repository.id);
    const token = call.world.mintInstallationToken(installation, permissions, ids);
    return created({
      token: token.value,
      expires_at: time(token.expiresAt as Date),
      permissions,
      repository_selection: repositories ? "selected" : installation.selection,
      ...(repositories ? { repositories: repositories.map((each) => repositoryJson(call.world, each)) } : {}),
    });
  }),
  route("DELETE /installation/token", { caller: "installation" }, (call) => {
    if (call.principal.kind === "token") call.principal.token.revoked = true;
    return noContent();
  }),
  route("GET /installation/repositories", { caller: "installation" }, (call) => {
    const ids = call.principal.kind === "token" ? call.principal.token.repositoryIds : undefined;
    const repositories = call.world.repositoriesOf(call.installation).filter((each) => ids?.includes(each.id) ?? true);
    return call.page(
      repositories,
      (repository) => repositoryJson(call.world, repository),
      (page, total) => ({ total_count: total, repository_selection: call.installation.selection, repositories: page }),
    );
  }),
  route("GET /repos/{owner}/{repo}/installation", { caller: "app" }, (call) => {
    const { owner, repo } = call.params;
    const repository = call.world.repository(`${owner}/${repo}`);
    const installation = repository && call.world.installationFor(call.app, repository);
    if (!installation) throw notFound();
    return ok(installationJson(call.world, installation));
  }),
  route("GET /users/{username}/installation", { caller: "app" }, (call) =>
    accountInstallation(call, call.params.username),
  ),
  route("GET /orgs/{org}/installation", { caller: "app" }, (call) => accountInstallation(call, call.params.org)),
  route("GET /apps/{app_slug}", {}, (call) => {
    const app = [...call.world.apps.values()].find((each) => each.slug === call.params.app_slug);
    if (!app) throw notFound();
    return ok(integration(call.world, app));
  }),
  // https://docs.github.com/apps/sharing-github-apps/registering-a-github-app-from-a-manifest
  route("POST /app-manifests/{code}/conversions", { caller: "anyone" }, (call) => {
    const manifest = call.world.manifests.get(call.params.code ?? "");
    if (!manifest) throw notFound();
    call.world.manifests.delete(call.params.code ?? "");
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const pem = privateKey.export({ type: "pkcs1", format: "pem" }).toString();
    const webhookSecret = randomBytes(20).toString("hex");
    const name = String(manifest.name ?? "app");
    const app = call.world.createApp({
      id: 100_000 + call.world.apps.size,
      slug: name.toLowerCase().replace(/[^a-z0-9]+/g, "-"),
      name,
      privateKey: pem,
      webhookSecret,
      webhookUrl: (manifest.hook_attributes as { url?: string } | undefined)?.url,
      permissions: (manifest.default_permissions as Permissions | undefined) ?? DEFAULT_PERMISSIONS,
      events: (manifest.default_events as string[] | undefined) ?? DEFAULT_EVENTS,
    });
    const secret = createHash("sha1").update(app.clientId).digest("hex");
    const shown = integration(call.world, app);
    return created({ ...shown, client_id: app.clientId, client_secret: secret, webhook_secret: webhookSecret, pem });
  }),

  route("GET /users/{username}", {}, (call) => {
    const user = call.world.users.get((call.params.username ?? "").toLowerCase());
    if (!user || user.deleted) throw notFound();
    return ok(publicUser(call.world, user));
  }),
  route("GET /user", {}, (call) => {
    const { user, app } = call.actor;
    if (app) throw new ApiError(403, "Resource not accessible by integration");
    return ok(publicUser(call.world, user));
  }),
  route("GET /rate_limit", {}, (call) => {
    const used = call.principal.kind === "token" ? call.principal.token.used : 0;
    const reset = Math.floor(call.world.now().getTime() / 1000) + 3600;
    const core = { limit: 5000, used, remaining: Math.max(5000 - used, 0), reset };
    const search = { limit: 30, used: 0, remaining: 30, reset };
    return ok({ resources: { core, search, graphql: { ...core, used: 0, remaining: 5000 } }, rate: core });
  }),
  route("GET /meta", {}, () =>
    ok({
      verifiable_password_authentication: false,
      hooks: ["127.0.0.0/8"],
      web: ["127.0.0.0/8"],
      api: ["127.0.0.0/8"],
      git: ["127.0.0.0/8"],
    }),
  ),
  route(
    "GET /repositories/{repository_id}",
    { needs: ["metadata:read"], describedAs: "/repos/{owner}/{repo}" },
    (call) => ok(fullRepository(call.world, call.repository)),
  ),
];

function installations(call: Call): Installation[] {
  return [...call.world.installations.values()].filter((installation) => installation.app === call.app);
}

function installationOf(call: Call): Installation {
  const found = installations(call).find((installation) => installation.id === Number(call.params.installation_id));
  if (!found) throw notFound();
  return found;
}

function accountInstallation(call: Call, login = "") {
  const found = installations(call).find((each) => each.account.login.toLowerCase() === login.toLowerCase());
  if (!found) throw notFound();
  return ok(installationJson(call.world, found));
}

/** The repositories that a token is asked for; undefined for all. 422 for one that the installation does not have. */
function narrowed(call: Call, installation: Installation): Repository[] | undefined {
  const { repository_ids: ids, repositories: names } = call.body;
  if (!ids && !names) return undefined;
  const reachable = call.world.repositoriesOf(installation);
  const found = [
    ...(ids ?? []).map((id: number) => reachable.find((repository) => repository.id === id)),
    ...(names ?? []).map((name: string) => reachable.find((each) => each.name.toLowerCase() === name.toLowerCase())),
  ];
  if (found.some((repository) => repository === undefined)) {
    throw new ApiError(
      422,
      "There is at least one repository that does not exist or is not accessible to the parent installation.",
    );
  }
  return found as Repository[];
}

function narrowedPermissions(call: Call, installation: Installation): Permissions {
  const wanted: Permissions | undefined = call.body.permissions;
  if (!wanted) return { ...installation.permissions, metadata: "read" };
  for (const [name, level] of Object.entries(wanted)) {
    if (name !== "metadata" && !permits(installation.permissions, `${name}:${level}`)) {
      throw new ApiError(422, "The permissions requested are not granted to this installation.");
    }
  }
  return { ...wanted, metadata: "read" };
}
