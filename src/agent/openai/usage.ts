/** OpenAI's figures by the names of the Messages protocol: there the prompt's tokens are those outside of the cache alone. */
export function usageFrom(
  given: { prompt: unknown; output: unknown; cached: unknown; written: unknown } | undefined,
): object | undefined {
  if (given === undefined) return undefined;
  const read = figure(given.cached) ?? 0;
  const written = figure(given.written) ?? 0;
  const prompt = figure(given.prompt);
  return {
    ...(prompt === undefined ? {} : { input_tokens: Math.max(0, prompt - read - written) }),
    output_tokens: given.output,
    cache_read_input_tokens: read,
    cache_creation_input_tokens: written,
    // Half an hour is what is asked for; it has the price of the shorter of the two lifetimes.
    cache_creation: { ephemeral_5m_input_tokens: written },
  };
}

function figure(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : undefined;
}
