package federation

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"golang.org/x/oauth2"
)

// fetchGitHubProfile reads the user of a token from GitHub's API. GitHub identifies
// users by number. Of a user's addresses, the primary one counts, if it is verified.
func (c *connection) fetchGitHubProfile(ctx context.Context, token *oauth2.Token) (identityProfile, error) {
	var user struct {
		ID    int64  `json:"id"`
		Login string `json:"login"`
		Name  string `json:"name"`
	}
	if err := c.getGitHub(ctx, token, "/user", &user); err != nil {
		return identityProfile{}, err
	}
	if user.ID <= 0 {
		return identityProfile{}, refused(fmt.Errorf("federation: %d is not the number of a user", user.ID))
	}
	var addresses []struct {
		Email    string `json:"email"`
		Primary  bool   `json:"primary"`
		Verified bool   `json:"verified"`
	}
	if err := c.getGitHub(ctx, token, "/user/emails?per_page=100", &addresses); err != nil {
		return identityProfile{}, err
	}
	out := identityProfile{issuer: c.issuer, subject: strconv.FormatInt(user.ID, 10), name: user.Name}
	if out.name == "" {
		out.name = user.Login
	}
	for _, address := range addresses {
		if address.Primary {
			out.email, out.verified = address.Email, address.Verified
		}
	}
	return out, nil
}

func (c *connection) getGitHub(ctx context.Context, token *oauth2.Token, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.provider.API+path, nil)
	if err != nil {
		return unreachable(err)
	}
	token.SetAuthHeader(req)
	req.Header.Set("Accept", "application/vnd.github+json")
	resp, err := c.client.Do(req)
	if err != nil {
		return unreachable(err)
	}
	defer resp.Body.Close() //nolint:errcheck // the body was read
	if resp.StatusCode != http.StatusOK {
		return unreachable(fmt.Errorf("federation: %s returned %s", path, resp.Status))
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return unreachable(err)
	}
	return nil
}
