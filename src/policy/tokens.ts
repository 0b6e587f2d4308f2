/**
 * A conservative estimate of a text's tokens, in linear time: 2.5 ASCII characters count as one token, of anything else one
 * and a third UTF-8 bytes. English prose and code have 2.6 to 4 characters per token with the providers' tokenizers, so
 * the estimate is nearly always above the count; long runs of random characters are the exception.
 */
export function estimateTokens(text: string): number {
  let ascii = 0;
  for (let at = 0; at < text.length; at += 1) if (text.charCodeAt(at) < 0x80) ascii += 1;
  const otherBytes = Buffer.byteLength(text, "utf8") - ascii;
  return Math.ceil(ascii / 2.5 + otherBytes * 0.75);
}

/** The same for a value that is sent as JSON. */
export function estimateJsonTokens(value: unknown): number {
  return estimateTokens(JSON.stringify(value) ?? "");
}
