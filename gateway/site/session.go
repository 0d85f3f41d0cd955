package site

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// challengePath is the path of the page that asks for a second factor.
const challengePath = "/account/challenge"

// session signs browsers in.
type session struct {
	auth    grpc.ClientConnInterface
	cookies Cookies
}

// signIn stores the session of tokens in cookies, and redirects the browser. When the
// sign-in still needs a second factor, it redirects to the page that asks for it.
func (s session) signIn(w http.ResponseWriter, r *http.Request, tokens *authv1.TokenResponse, to string) error {
	if challenge := tokens.GetMfaChallenge(); challenge != nil {
		redirect(w, challengePath+"?"+url.Values{
			"code": {challenge.GetId()}, "returnTo": {to}, "methods": {strings.Join(challenge.GetMethods(), ",")},
		}.Encode())
		return nil
	}
	if token := tokens.GetRefreshToken(); token != "" {
		s.cookies.SetSession(w, token, Generation(r))
	}
	if strings.HasPrefix(to, pathAuthorize+"?") {
		if err := s.openLogin(r.Context(), w, "Bearer "+tokens.GetAccessToken()); err != nil {
			return err
		}
	}
	redirect(w, to)
	return nil
}

// openLogin opens a login at the OAuth provider for the session of an access token,
// and stores it in a cookie.
func (s session) openLogin(ctx context.Context, w http.ResponseWriter, authorization string) error {
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", authorization)
	opened, err := authv1.NewOAuthServiceClient(s.auth).OpenLogin(ctx, &authv1.OpenLoginRequest{})
	if err != nil {
		return err
	}
	s.cookies.setLogin(w, opened.GetLogin(), time.Duration(opened.GetExpiresIn())*time.Second)
	return nil
}
