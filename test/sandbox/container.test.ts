import { expect, test } from "vitest";
import { containerArguments } from "../../src/sandbox/container.ts";

const at = { directory: "/d/tree", temporary: "/d/tmp", environment: { directory: "/d/home", readOnly: true } };
const limits = {
  timeoutSeconds: 9,
  maxOutputBytes: 1,
  maxMemoryBytes: 2 ** 30,
  maxProcesses: 77,
  maxFileBytes: 2 ** 20,
  maxCpuSeconds: 5,
};
const command = { run: "npm test", directory: "pkg", network: "none" } as const;
const slot = { number: 3, uid: 65_003 };

function arguments_(options: { controlGroups?: boolean } = {}): string {
  const all = { image: "img:1", extraReadPaths: ["/opt/data"], ...options };
  return containerArguments(all, "/usr/bin/podman", "name-1", command, at, limits, slot).join(" ");
}

test("containerArguments closes everything but the folders of the job", () => {
  const text = arguments_();
  for (const wanted of [
    ...[
      "--network none",
      "--read-only",
      "--cap-drop ALL",
      "--security-opt no-new-privileges",
      "--user 65003:65003",
      "--pull never",
    ],
    ...[
      "--pids-limit 77",
      `--memory ${2 ** 30}`,
      `--memory-swap ${2 ** 30}`,
      "--ulimit nproc=77:77",
      "--workdir /workspace/pkg",
    ],
    ...["--mount type=bind,source=/d/tree,target=/workspace ", "--mount type=bind,source=/d/tmp,target=/tmp "],
    ...["source=/d/home,target=/environment,readonly", "source=/opt/data,target=/opt/data,readonly"],
  ]) {
    expect(`${text} `).toContain(wanted);
  }
  expect(text).not.toMatch(/--privileged|docker\.sock|--pid[= ]|--ipc|--device|--volume|--env/);
});

test("containerArguments leaves control groups out where the engine cannot use them", () => {
  const text = arguments_({ controlGroups: false });
  expect(text).toContain("--cgroups disabled");
  expect(text).not.toContain("--memory");
  expect(text).toContain("--ulimit nproc=77:77");
});

test("containerArguments refuses a folder whose name would be read as options of the mount", () => {
  const hostile = { ...at, directory: "/d/tree,target=/etc" };
  expect(() =>
    containerArguments({ image: "i", extraReadPaths: [] }, "docker", "n", command, hostile, limits, slot),
  ).toThrow("comma");
});
