/** The provider sent nothing for too long. */
export class StalledError extends Error {
  override name = "StalledError";
}

/** The provider sent more than any answer can have. */
export class OversizedError extends Error {
  override name = "OversizedError";
}

/** What answered is no model: a web page. */
export class NoModelError extends Error {
  override name = "NoModelError";
}

/** The longest answers have 128,000 tokens, which as events of a stream are some ten megabytes. */
const mostAnswerBytes = 64 * 1024 * 1024;

/** How long the answer's head may take: an answer that is not streamed comes all at once at the end. */
const headTimeoutMs = 10 * 60_000;

/**
 * `fetch` that gives up when a body stays silent for `idleMs`. Bytes are watched rather than events, because the provider
 * sends pings, which the SDK does not show, while the model thinks. It also gives up a body that does not end, and follows
 * no redirection: the key and the repository's code are for one address and no other.
 */
export function watchedFetch(
  idleMs: number,
  fetch: typeof globalThis.fetch = globalThis.fetch,
): typeof globalThis.fetch {
  return async (input, init) => {
    const streamed = isStreamed(input, init);
    const stalled = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const arm = (ms: number) => {
      clearTimeout(timer);
      timer = setTimeout(
        () => stalled.abort(new StalledError(`The model's server sent nothing for ${ms / 1000} s`)),
        ms,
      ).unref();
    };
    const signals = [stalled.signal, init?.signal].filter((signal) => signal instanceof AbortSignal);
    arm(streamed ? idleMs : headTimeoutMs);
    try {
      const response = await fetch(input, { ...init, redirect: "manual", signal: AbortSignal.any(signals) });
      if (response.ok && /^\s*text\/html\b/i.test(response.headers.get("content-type") ?? "")) {
        void response.body?.cancel();
        throw new NoModelError("The address answered with a web page");
      }
      if (response.body === null) {
        clearTimeout(timer);
        return response;
      }
      arm(idleMs);
      let bytes = 0;
      const watcher: WatchingTransformer = {
        transform: (chunk, controller) => {
          arm(idleMs);
          bytes += chunk.byteLength;
          if (bytes > mostAnswerBytes)
            throw new OversizedError(`The model's server sent more than ${mostAnswerBytes} bytes`);
          controller.enqueue(chunk);
        },
        flush: () => clearTimeout(timer),
        cancel: () => clearTimeout(timer),
      };
      const watched = response.body.pipeThrough(new TransformStream(watcher));
      return copyOf(response, watched);
    } catch (error) {
      clearTimeout(timer);
      throw stalled.signal.aborted ? stalled.signal.reason : error;
    }
  };
}

/** The types of Node do not know `cancel`, which is called when the reader goes away. */
interface WatchingTransformer {
  transform(chunk: Uint8Array, controller: TransformStreamDefaultController<Uint8Array>): void;
  flush(): void;
  cancel(): void;
}

/** Bedrock and Vertex say it in the address, the API in the body. */
function isStreamed(input: Parameters<typeof globalThis.fetch>[0], init: RequestInit | undefined): boolean {
  const url = input instanceof Request ? input.url : String(input);
  return (
    /stream/i.test(new URL(url).pathname) || (typeof init?.body === "string" && init.body.includes('"stream":true'))
  );
}

function copyOf(response: Response, body: ReadableStream<Uint8Array>): Response {
  const copy = new Response(body, {
    status: response.status,
    statusText: response.statusText,
    headers: response.headers,
  });
  Object.defineProperty(copy, "url", { value: response.url });
  return copy;
}
