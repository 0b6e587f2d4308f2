import type { Candidate } from "./candidates.ts";
import { extensionOf } from "./file-kind.ts";

/**
 * How near each file is to the `seeds` (index → weight) by one import, in either direction. Only seeds and `pool` are
 * looked at: imports are resolved by names alone (relative paths, and dotted or slashed module names whose last parts
 * end few paths), which for all files of a large tree takes longer than it is worth. Packages from elsewhere fall out.
 */
export function importScores(
  candidates: readonly Candidate[],
  seeds: ReadonlyMap<number, number>,
  pool: readonly number[],
): Float64Array {
  const scores = new Float64Array(candidates.length);
  const resolver = new Resolver(candidates);
  for (const index of new Set([...seeds.keys(), ...pool])) {
    const imported = resolver.importsOf(index);
    for (const one of imported) {
      scores[one]! += (seeds.get(index) ?? 0) / Math.sqrt(imported.size);
      scores[index]! += seeds.get(one) ?? 0;
    }
  }
  return scores;
}

/** A name that fits more files than this says too little. */
const maxFits = 3;
const indexNames = new Set(["index", "__init__", "mod", "lib", "main"]);

class Resolver {
  /** Last part of a path without extension → files; a folder's main file under the folder's name too. */
  readonly #named = new Map<string, number[]>();
  /** Folder → its Go files: a package is imported as a whole. */
  readonly #packages = new Map<string, number[]>();
  readonly #candidates: readonly Candidate[];

  constructor(candidates: readonly Candidate[]) {
    this.#candidates = candidates;
    candidates.forEach(({ path, kind }, index) => {
      if (kind !== "source" && kind !== "test" && kind !== "example") return;
      const slash = path.lastIndexOf("/");
      const name = withoutExtension(path.slice(slash + 1));
      push(this.#named, name, index);
      if (indexNames.has(name) && slash > 0)
        push(this.#named, path.slice(path.lastIndexOf("/", slash - 1) + 1, slash), index);
      if (kind === "source" && path.endsWith(".go")) push(this.#packages, path.slice(0, Math.max(0, slash)), index);
    });
  }

  importsOf(index: number): ReadonlySet<number> {
    const { path, facts } = this.#candidates[index]!;
    const found = new Set<number>();
    for (const specifier of facts.imports) for (const one of this.#resolve(path, specifier)) found.add(one);
    found.delete(index);
    return found;
  }

  #resolve(from: string, specifier: string): readonly number[] {
    const folder = from.slice(0, Math.max(0, from.lastIndexOf("/")));
    if (/^\.{1,2}(?:\/|$)/.test(specifier))
      return (
        this.#at(join(folder, specifier)) ??
        this.#fits(join("", specifier.replace(/^(?:\.{1,2}\/)+/, "")).split("/"), folder)
      );
    const python = /^(\.+)([\w.]*)$/.exec(specifier);
    if (python) {
      const up = "../".repeat(python[1]!.length - 1);
      return this.#at(join(folder, `${up}${python[2]!.replaceAll(".", "/")}`)) ?? [];
    }
    if (extensionOf(from) === "go") return this.#goPackage(specifier);
    const name = specifier.replace(/^(?:crate|self|super)::/, "").replace(/^[#@~]\/?/, "");
    const parts = name.split(/::|[/\\]|\.(?=\w+)/).filter((part) => part !== "");
    for (let end = parts.length; end > 0; end--) {
      const fits = this.#fits(parts.slice(0, end), folder);
      if (fits.length > 0) return fits;
      if (end < parts.length - 1) break;
    }
    return [];
  }

  /** The files at exactly this path, with any extension or as the folder's main file. */
  #at(path: string): readonly number[] | undefined {
    const whole = (before: string) => before === "";
    return this.#ending(path, whole) ?? this.#ending(withoutExtension(path), whole);
  }

  /** The files whose path ends in `wanted`, where `accepts` is given what stands before it. */
  #ending(wanted: string, accepts: (before: string) => boolean): readonly number[] | undefined {
    const named = this.#named.get(wanted.slice(wanted.lastIndexOf("/") + 1));
    const found = named?.filter((index) => {
      const stem = withoutExtension(this.#candidates[index]!.path);
      const folder = stem.slice(0, Math.max(0, stem.lastIndexOf("/")));
      return [stem, folder].some(
        (path) => path.endsWith(wanted) && accepts(path.slice(0, path.length - wanted.length)),
      );
    });
    return found && found.length > 0 ? found : undefined;
  }

  #goPackage(specifier: string): readonly number[] {
    const parts = specifier.split("/");
    for (let start = 0; start < parts.length; start++) {
      const files = this.#packages.get(parts.slice(start).join("/"));
      if (files && files.length <= 12) return files;
    }
    return [];
  }

  #fits(parts: readonly string[], folder: string): readonly number[] {
    if (parts.length === 0) return [];
    const wanted = [...parts.slice(0, -1), withoutExtension(parts.at(-1)!)].join("/");
    const near = this.#at(join(folder, wanted)) ?? this.#at(wanted);
    if (near || parts.length < 2) return near ?? [];
    const found = this.#ending(wanted, (before) => before.endsWith("/")) ?? [];
    return found.length <= maxFits ? found : [];
  }
}

function push(map: Map<string, number[]>, key: string, value: number): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}

function withoutExtension(path: string): string {
  return path.replace(/(?:\.d)?\.[A-Za-z0-9]+$/, "");
}

function join(folder: string, relative: string): string {
  const parts = folder === "" ? [] : folder.split("/");
  for (const part of relative.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "." && part !== "") parts.push(part);
  }
  return parts.join("/");
}
