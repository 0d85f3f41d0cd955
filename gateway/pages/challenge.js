// Signs in with a passkey: as the only credential, or as the second factor of a sign-in.
const button = document.getElementById("passkey");
const problem = document.getElementById("passkey-problem");

async function post(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

async function sign() {
  const challenge = await post("/v1/auth/passkeys:begin", { mfaChallengeId: button.dataset.challenge });
  const credential = await navigator.credentials.get({
    publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(challenge.publicKey),
  });
  const tokens = await post("/v1/auth/passkeys:finish", {
    challengeId: challenge.challengeId,
    credential: credential.toJSON(),
    session: "COOKIE",
  });
  const to = button.dataset.returnTo;
  if (to.startsWith("/oauth2/authorize?")) {
    const login = await fetch("/oauth2/login", { method: "POST", headers: { Authorization: `Bearer ${tokens.accessToken}` } });
    if (!login.ok) throw new Error(`/oauth2/login: ${login.status}`);
  }
  location.assign(to);
}

if (button && window.PublicKeyCredential && PublicKeyCredential.parseRequestOptionsFromJSON) {
  button.hidden = false;
  button.addEventListener("click", () => {
    problem.hidden = true;
    sign().catch(() => {
      problem.hidden = false;
    });
  });
}
