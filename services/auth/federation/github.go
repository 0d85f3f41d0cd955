package federation

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"golang.org/x/oauth2"
)

// fetchGitHubProfile asks GitHub's API whose token it is. GitHub numbers its users; of their
// addresses, the primary one counts where it is verified.
func (c *connection) fetchGitHubProfile(ctx context.Context, token *oauth2.Token) (profile, error) {
	var user struct {
		ID    int64  `json:"id"`
		Login string `json:"login"`
		Name  string `json:"name"`
	}
	if err := c.getGitHub(ctx, token, "/user", &user); err != nil {
		return profile{}, err
	}
	if user.ID <= 0 {
		return profile{}, refused(fmt.Errorf("federation: no user has the number %d", user.ID))
	}
	var addresses []struct {
		Email    string `json:"email"`
		Primary  bool   `json:"primary"`
		Verified bool   `json:"verified"`
	}
	if err := c.getGitHub(ctx, token, "/user/emails?per_page=100", &addresses); err != nil {
		return profile{}, err
	}
	out := profile{issuer: c.issuer, subject: strconv.FormatInt(user.ID, 10), name: user.Name}
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
	defer resp.Body.Close() //nolint:errcheck // it was read
	if resp.StatusCode != http.StatusOK {
		return unreachable(fmt.Errorf("federation: %s answers %s", path, resp.Status))
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return unreachable(err)
	}
	return nil
}
