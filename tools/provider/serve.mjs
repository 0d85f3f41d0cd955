// A real OpenID provider on loopback, for tests: a user signs in by typing a name,
// with the address <name>@example.com. It ends with its standard input.
//
//   node serve.mjs ISSUER CLIENT_ID CLIENT_SECRET REDIRECT_URI
import { Provider } from "oidc-provider";

const [issuer, clientId, clientSecret, redirectUri] = process.argv.slice(2);
const { hostname, port } = new URL(issuer);

const provider = new Provider(issuer, {
  clients: [{ client_id: clientId, client_secret: clientSecret, redirect_uris: [redirectUri] }],
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
  pkce: { required: () => true },
  cookies: { keys: ["a test's"] },
  findAccount: (_, sub) => ({
    accountId: sub,
    claims: () => ({ sub, email: `${sub}@example.com`, email_verified: sub !== "unverified", name: sub }),
  }),
});

provider.listen(Number(port), hostname, () => console.log("listening"));
process.stdin.resume().on("end", () => process.exit());
