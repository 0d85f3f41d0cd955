import assert from "node:assert/strict";
import { before, describe, test } from "node:test";

import * as oidc from "openid-client";

import { gateway } from "./gateway.js";

const redirectUri = "https://app.example/callback";

/** Sends JSON to the API and returns the response. */
async function post<T>(path: string, body: unknown, token?: string): Promise<T> {
  const response = await fetch(gateway.url + path, {
    method: "POST",
    headers: { "content-type": "application/json", ...(token ? { authorization: `Bearer ${token}` } : {}) },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  assert.equal(response.status, 200, `${path}: ${text}`);
  return JSON.parse(text) as T;
}

/** A browser without scripts, which uses the provider's pages. */
class Browser {
  private cookie = "";

  private async step(url: string, form?: Record<string, string>): Promise<Response> {
    const response = await fetch(url, {
      redirect: "manual",
      headers: { cookie: this.cookie, ...(form ? { origin: gateway.url } : {}) },
      ...(form ? { method: "POST", body: new URLSearchParams(form) } : {}),
    });
    for (const set of response.headers.getSetCookie()) this.cookie = set.split(";")[0] ?? "";
    return response;
  }

  private static fields(page: string): Record<string, string> {
    const found = page.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)">/g);
    const unescaped = (text: string) =>
      text.replaceAll("&#43;", "+").replaceAll("&#34;", '"').replaceAll("&amp;", "&");
    return Object.fromEntries([...found].map((m) => [m[1] ?? "", unescaped(m[2] ?? "")]));
  }

  /** Signs in, consents, and returns the URL of the redirect. */
  async allow(authorizationUrl: URL): Promise<URL> {
    let response = await this.step(authorizationUrl.href);
    assert.equal(response.status, 200);
    response = await this.step(`${gateway.url}/oauth2/sign-in`, {
      ...Browser.fields(await response.text()),
      email: gateway.email,
      password: gateway.password,
    });
    assert.equal(response.status, 303);
    response = await this.step(gateway.url + response.headers.get("location"));
    response = await this.step(`${gateway.url}/oauth2/consent`, {
      ...Browser.fields(await response.text()),
      decision: "allow",
    });
    assert.equal(response.status, 303);
    return new URL(response.headers.get("location") ?? "");
  }
}

describe("openid-client", () => {
  let admin = "";
  before(async () => {
    const signedIn = await post<{ accessToken: string }>("/v1/auth/sign-in", {
      email: gateway.email,
      password: gateway.password,
    });
    admin = signedIn.accessToken;
  });

  /** Registers a client, and discovers its configuration with openid-client. */
  async function register(confidential: boolean): Promise<oidc.Configuration> {
    const { oauthClient, secret } = await post<{ oauthClient: { id: string }; secret: string }>(
      "/v1/oauth-clients",
      {
        displayName: "Example app",
        redirectUris: [redirectUri],
        confidential,
        grantTypes: ["authorization_code", "refresh_token", ...(confidential ? ["client_credentials"] : [])],
        scopes: ["openid", "profile", "email", "offline_access", "chat.read"],
      },
      admin,
    );
    return oidc.discovery(
      new URL(gateway.url),
      oauthClient.id,
      undefined,
      confidential ? oidc.ClientSecretBasic(secret) : oidc.None(),
      { execute: [oidc.allowInsecureRequests] },
    );
  }

  for (const confidential of [true, false]) {
    test(`${confidential ? "a confidential" : "a public"} client: code with PKCE, refresh, userinfo, revocation`, async () => {
      const config = await register(confidential);
      assert.ok(config.serverMetadata().supportsPKCE());
      const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
      const expectedState = oidc.randomState();
      const expectedNonce = oidc.randomNonce();
      const to = await new Browser().allow(
        oidc.buildAuthorizationUrl(config, {
          redirect_uri: redirectUri,
          scope: "openid profile email offline_access chat.read",
          code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
          code_challenge_method: "S256",
          state: expectedState,
          nonce: expectedNonce,
        }),
      );
      const checks = { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true };
      const tokens = await oidc.authorizationCodeGrant(config, to, checks);
      const claims = tokens.claims();
      assert.equal(claims?.["email"], gateway.email);
      const who = await oidc.fetchUserInfo(config, tokens.access_token, claims?.sub ?? "");
      assert.equal(who.email, gateway.email);
      assert.equal(typeof who.name, "string");

      const api = await fetch(`${gateway.url}/v1/conversations`, {
        headers: { authorization: `Bearer ${tokens.access_token}` },
      });
      assert.equal(api.status, 200);

      // The code has been used.
      await assert.rejects(
        oidc.authorizationCodeGrant(config, to, checks),
        (error: oidc.ResponseBodyError) => error.error === "invalid_grant",
      );
    });

    test(`${confidential ? "a confidential" : "a public"} client refreshes, and revokes its token`, async () => {
      const config = await register(confidential);
      const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
      const to = await new Browser().allow(
        oidc.buildAuthorizationUrl(config, {
          redirect_uri: redirectUri,
          scope: "openid chat.read",
          code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
          code_challenge_method: "S256",
        }),
      );
      const tokens = await oidc.authorizationCodeGrant(config, to, { pkceCodeVerifier });
      const next = await oidc.refreshTokenGrant(config, tokens.refresh_token ?? "");
      assert.notEqual(next.refresh_token, tokens.refresh_token);
      if (confidential) {
        const introspected = await oidc.tokenIntrospection(config, next.access_token);
        assert.equal(introspected.active, true);
        assert.equal(introspected.scope, "chat.read openid");
      }
      await oidc.tokenRevocation(config, next.refresh_token ?? "");
      if (confidential) {
        assert.equal((await oidc.tokenIntrospection(config, next.access_token)).active, false);
      }
      await assert.rejects(
        oidc.refreshTokenGrant(config, next.refresh_token ?? ""),
        (error: oidc.ResponseBodyError) => error.error === "invalid_grant",
      );
    });
  }

  test("client credentials act for the organization, within their scopes", async () => {
    const config = await register(true);
    const tokens = await oidc.clientCredentialsGrant(config, { scope: "chat.read" });
    assert.equal(tokens.scope, "chat.read");
    assert.equal(tokens.refresh_token, undefined);
    const status = async (path: string) =>
      (await fetch(gateway.url + path, { headers: { authorization: `Bearer ${tokens.access_token}` } })).status;
    assert.equal(await status("/v1/conversations"), 200);
    assert.equal(await status("/v1/collections"), 403);
    assert.equal(await status("/v1/me"), 403);
    assert.equal((await oidc.tokenIntrospection(config, tokens.access_token)).active, true);
    await oidc.tokenRevocation(config, tokens.access_token);
    assert.equal((await oidc.tokenIntrospection(config, tokens.access_token)).active, false);
    await assert.rejects(
      oidc.clientCredentialsGrant(config, { scope: "members.write" }),
      (error: oidc.ResponseBodyError) => error.error === "invalid_scope",
    );
  });
});
