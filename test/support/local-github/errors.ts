/** An answer of GitHub that is not a success, with GitHub's wording; thrown by routes and domain functions. */
export class ApiError extends Error {
  readonly status: number;
  readonly errors: unknown[] | undefined;
  readonly headers: Record<string, string>;

  constructor(status: number, message: string, errors?: unknown[], headers: Record<string, string> = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.errors = errors;
    this.headers = headers;
  }
}

export function notFound(): ApiError {
  return new ApiError(404, "Not Found");
}

/** GitHub's 422 for one field: `{ resource, field, code }`, or a sentence in `message` with code "custom". */
export function invalid(resource: string, field: string, code: string, message?: string): ApiError {
  return new ApiError(422, "Validation Failed", [{ resource, field, code, ...(message ? { message } : {}) }]);
}

export function forbidden(message = "Resource not accessible by integration"): ApiError {
  return new ApiError(403, message);
}
