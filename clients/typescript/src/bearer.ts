import type { Interceptor } from "@connectrpc/connect";

/**
 * Sends the access token with each call. It is asked for each time, so that the
 * caller can refresh it; an empty one is not sent.
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
