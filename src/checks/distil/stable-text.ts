/** Returns text without what differs between two runs that fail for the same reason. Reads its first 500 characters. */
export function stableText(text: string): string {
  return (
    text
      .slice(0, 500)
      .replace(/\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?[\d.,]*(?:Z|[+-]\d\d:?\d\d)?/g, "<time>")
      .replace(/\b0x[0-9a-f]{4,}\b/gi, "<address>")
      .replace(/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi, "<id>")
      // Of an absolute path only the last two parts say something about the repository.
      .replace(/(?:file:\/\/)?(?:\/[\w.@+-]+){3,}/g, (path) => `<path>/${path.split("/").slice(-2).join("/")}`)
      .replace(/\b\d+(?:\.\d+)? ?(?:ms|s|sec|seconds|µs|ns|m|min)\b/g, "<duration>")
      .replace(/\d+/g, "<n>")
      .replace(/\s+/g, " ")
      .trim()
  );
}
