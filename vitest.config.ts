import { defineConfig } from "vitest/config";

const slow = { testTimeout: 120_000, hookTimeout: 120_000 };

// Unit tests need nothing but Node; integration tests start real git, databases, sandboxes and HTTP servers.
export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["test/**/*.test.ts"], exclude: ["test/**/*.integration.test.ts", "test/fixtures/**"] } },
      {
        test: {
          name: "integration",
          include: ["test/**/*.integration.test.ts"],
          exclude: ["test/fixtures/**"],
          maxWorkers: 2,
          ...slow,
        },
      },
    ],
  },
});
