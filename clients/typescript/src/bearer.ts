import type { Interceptor } from "@connectrpc/connect";

/**
 * Returns an interceptor that sends the access token with each call. The function is called
 * for each call, so that the caller can refresh the token. An empty token is not sent.
 */
export function bearer(accessToken: () => string | Promise<string>): Interceptor {
  return (next) => async (request) => {
    const token = await accessToken();
    if (token !== "") {
      request.header.set("Authorization", `Bearer ${token}`);
    }
    return next(request);
  };
}
