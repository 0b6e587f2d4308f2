import { createPublicKey, verify } from "node:crypto";
import { ApiError } from "./errors.ts";
import type { Principal } from "./http.ts";
import type { App } from "./types.ts";
import type { World } from "./world.ts";

/** Who sends a request, from its Authorization header; throws GitHub's 401 for credentials that are not good. */
export function authenticate(world: World, header: string | undefined): Principal {
  if (!header) return { kind: "anonymous" };
  const [scheme = "", credentials = ""] = header.split(/\s+/, 2);
  const value =
    scheme.toLowerCase() === "basic"
      ? Buffer.from(credentials, "base64").toString().split(":").slice(1).join(":")
      : credentials;
  if (value.split(".").length === 3) return { kind: "app", app: verifyAppToken(world, value) };
  const token = world.token(value);
  if (!token) throw new ApiError(401, "Bad credentials");
  return { kind: "token", token };
}

/** https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app */
function verifyAppToken(world: World, jwt: string): App {
  const [header = "", payload = "", signature = ""] = jwt.split(".");
  const refuse = (why: string): ApiError => new ApiError(401, why);
  let claims: { iss?: string | number; iat?: number; exp?: number };
  let algorithm: unknown;
  try {
    claims = JSON.parse(Buffer.from(payload, "base64url").toString());
    algorithm = JSON.parse(Buffer.from(header, "base64url").toString()).alg;
  } catch {
    throw refuse("A JSON web token could not be decoded");
  }
  const app = [...world.apps.values()].find(
    (each) => String(claims.iss) === String(each.id) || claims.iss === each.clientId,
  );
  if (!app) throw refuse("Integration not found");
  const good =
    algorithm === "RS256" &&
    verify(
      "sha256",
      Buffer.from(`${header}.${payload}`),
      createPublicKey(app.publicKey),
      Buffer.from(signature, "base64url"),
    );
  if (!good) throw refuse("A JSON web token could not be decoded");
  const now = world.now().getTime() / 1000;
  if (typeof claims.exp !== "number" || claims.exp <= now) {
    throw refuse(
      "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
    );
  }
  if (typeof claims.iat !== "number" || claims.iat > now + 60) {
    throw refuse("'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued");
  }
  if (claims.exp - claims.iat > 660) throw refuse("'Expiration time' claim ('exp') is too far in the future");
  return app;
}
