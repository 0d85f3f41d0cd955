package authtest

const (
	AppURI   = "https://app.example/callback"
	Verifier = "a verifier that is long enough for anybody, really"
)
