package pages

func (s Site) curlSignIn() string {
	return `curl -s ` + s.PublicURL + `/v1/auth/sign-in \
  -H 'Content-Type: application/json' \
  -d '{"email": "you@example.com", "password": "…"}'`
}

func (s Site) curlAsk() string {
	return `export TOKEN=…   # accessToken of the response above

curl -s -X POST ` + s.PublicURL + `/v1/conversations -H "Authorization: Bearer $TOKEN"

curl -N ` + s.PublicURL + `/v1/conversations/CONVERSATION_ID/messages:stream \
  -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
  -d '{"content": "What is 17 * 23?"}'`
}
