import { defineConfig } from "drizzle-kit";

// `npm run migrations` writes the next migration; PGlite and PostgreSQL apply the same folder.
export default defineConfig({
  dialect: "postgresql",
  schema: "./src/store/schema.ts",
  out: "./src/store/migrations",
});
