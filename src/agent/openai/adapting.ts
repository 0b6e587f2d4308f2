import { APIError } from "openai";

/** More settings than this are never refused one after the other. */
const mostRefusals = 5;

/**
 * Sends parameters, and once more without each of the `optional` ones that the server says it does not know: servers of other
 * makers take different parts of OpenAI's protocol, and say so before anything is computed. What was refused once is not sent
 * again by the same model.
 */
export function createAdapting(optional: readonly string[]) {
  const refused = new Set<string>();
  return {
    isRefused: (name: string) => refused.has(name),
    async send<P, R>(
      parametersWithout: (isRefused: (name: string) => boolean) => P,
      send: (parameters: P) => Promise<R>,
    ) {
      for (let refusals = 0; ; refusals += 1) {
        const parameters = parametersWithout((name) => refused.has(name));
        try {
          return await send(parameters);
        } catch (error) {
          const name = refusedName(error, optional);
          if (name === undefined || refused.has(name) || refusals >= mostRefusals) throw error;
          refused.add(name);
        }
      }
    },
  };
}

function refusedName(error: unknown, optional: readonly string[]): string | undefined {
  if (!(error instanceof APIError) || (error.status !== 400 && error.status !== 422)) return undefined;
  const { param, message } = error as APIError;
  const saysSo =
    /unsupported|not (be )?supported|does(n't| not) support|unknown|unrecogni[sz]ed|unexpected|not permitted|not allowed|extra (inputs|fields)|invalid (parameter|value)/i;
  if (!saysSo.test(message)) return undefined;
  const names = [...optional].sort((a, b) => b.length - a.length);
  return (
    names.find((name) => param === name || param?.startsWith(`${name}.`)) ??
    names.find((name) => message.includes(name))
  );
}
