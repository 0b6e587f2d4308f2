/** The first items that fit together into so many bytes of JSON: between steps travel at most 32 KB (architecture.md rule 4). */
export function fitting<T>(items: readonly T[], maxBytes: number): T[] {
  let left = maxBytes;
  return items.filter((item) => {
    const bytes = Buffer.byteLength(JSON.stringify(item)) + 1;
    if (bytes > left) return false;
    left -= bytes;
    return true;
  });
}
