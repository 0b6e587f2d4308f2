/** What a file is for, by its path alone. Every kind stays findable; `source` is what a change is about most often. */
export type FileKind = "source" | "test" | "docs" | "example" | "generated" | "vendored" | "config" | "other";

const extensions = (list: string) => new Set(list.split(" "));

const programExtensions = extensions(
  "js jsx mjs cjs ts tsx mts cts vue svelte astro py pyi pyx go rs java kt kts scala groovy clj cljs cljc rb rake php c h cc cpp cxx hh hpp hxx m mm cs fs fsx vb swift dart lua pl pm ex exs erl hrl hs ml mli elm r jl zig nim v d cr sh bash zsh fish ps1 sql proto graphql y yy l ll asm s erb haml slim jinja jinja2 j2 tmpl hbs ejs pug html css scss sass less styl coffee awk jq tf",
);
const proseExtensions = extensions("md mdx markdown rst adoc asciidoc txt rdoc pod textile tex 1 2 3 4 5 6 7 8");
const settingExtensions = extensions(
  "json jsonc json5 yml yaml toml ini cfg conf properties xml gradle lock mod sum bazel bzl cmake mk am ac in gemspec cabal nix",
);

const folder = (names: string) => new RegExp(`(?:^|/)(?:${names})/`, "i");
const vendoredFolder = folder("vendor|vendored|_vendor|third[-_]?party|node_modules|bower_components");
const generatedFolder = folder("dist|generated|__generated__|\\.next");
const testFolder = folder(
  "tests?|__tests?[a-z_]*__|__mocks__|specs?|testing|test[-_]?data|testdata|fixtures?|__snapshots__|e2e|integration[-_]tests?|src/test|playground|cypress|testutils?|testsuites?|test[-_][a-z0-9]+|[a-z0-9]+[-_]tests?|bench(?:es|mark|marks)?|perf|fuzz",
);
const docsFolder = /(?:^|\/)(?:docs?|documentation|changelogs?|\.changeset)\/|^(?:website|site|man)\//i;
const exampleFolder = folder("_?examples?|samples?|demos?|tutorials?|template-[^/]+|cookbook");
const settingFolder = folder("\\.github|\\.circleci|\\.husky|\\.vscode|\\.idea|\\.devcontainer|\\.gitlab");

const testName =
  /(?:[._-](?:test|tests|spec|specs|e2e|bench|benchmark|test-d)(?:\.[^/.]+)+$)|(?:^|\/)(?:test|tests|spec|bench|conftest)(?:[._-][^/]*)?\.[^/.]+$|(?:Tests?|Spec|TestCase|IT|Benchmark)\.(?:java|kt|scala|groovy|cs|swift|php)$/;
const generatedName =
  /\.(?:min|bundle|generated|gen|pb|pb2|g)\.[^/.]+$|_pb2(?:_grpc)?\.pyi?$|[._-]generated\.[^/.]+$|_gen\.go$|\.pb\.(?:go|cc|h)$|(?:^|\/)(?:package-lock\.json|yarn\.lock|pnpm-lock\.yaml|go\.sum|Cargo\.lock|Gemfile\.lock|poetry\.lock|composer\.lock|uv\.lock)$|\.map$|\.snap$/;
const proseName =
  /(?:^|\/)(?:readme|changelog|changes|history|news|license|licence|copying|authors|contributors|contributing|code_of_conduct|security|todo|faq|guide)(?:[._-][^/]*)?$/i;

/** The kind of the file at `path`, a rule of names that most public repositories follow. */
export function fileKind(path: string): FileKind {
  if (vendoredFolder.test(path)) return "vendored";
  if (generatedName.test(path) || generatedFolder.test(path)) return "generated";
  if (testFolder.test(path) || testName.test(path)) return "test";
  const extension = extensionOf(path);
  if (proseName.test(path) && !programExtensions.has(extension)) return "docs";
  if (exampleFolder.test(path)) return "example";
  if (docsFolder.test(path)) return "docs";
  if (settingFolder.test(path)) return "config";
  if (programExtensions.has(extension))
    return /\.config\.[a-z]+$/.test(path) || /(?:^|\/)\.[^/]*$/.test(path) ? "config" : "source";
  if (proseExtensions.has(extension)) return "docs";
  if (settingExtensions.has(extension)) return "config";
  return "other";
}

/** The part after the last dot of the file name, in lower case; empty where there is none. */
export function extensionOf(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const dot = name.lastIndexOf(".");
  return dot > 0 ? name.slice(dot + 1).toLowerCase() : "";
}
