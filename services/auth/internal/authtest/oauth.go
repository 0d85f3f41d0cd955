package authtest

const (
	// AppURI is the redirect URI of the OAuth client.
	AppURI = "https://app.example/callback"
	// CodeVerifier is the PKCE verifier of its codes.
	CodeVerifier = "a verifier that is long enough for anybody, really"
)
