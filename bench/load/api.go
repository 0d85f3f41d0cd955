package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// maxConnections keeps a connection for each of a crowd's readers.
const maxConnections = 1024

// newClient is the client of the product and of the floors alike.
func newClient() *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		MaxIdleConns: maxConnections, MaxIdleConnsPerHost: maxConnections, DisableCompression: true,
	}}
}

// api is the product's REST API, for somebody who is signed in.
type api struct {
	base, token, userID string
	client              *http.Client
}

func signIn(ctx context.Context, p *product) (*api, error) {
	a := &api{base: "http://" + p.gateway, client: newClient()}
	var pair struct{ AccessToken string }
	if err := a.post(ctx, "/v1/auth/sign-in", map[string]string{"email": adminEmail, "password": adminPassword}, &pair); err != nil {
		return nil, err
	}
	a.token = pair.AccessToken
	var me struct{ ID string }
	if err := a.call(ctx, http.MethodGet, "/v1/me", nil, &me); err != nil {
		return nil, err
	}
	a.userID = me.ID
	return a, nil
}

func (a *api) close() { a.client.CloseIdleConnections() }

// conversation makes a conversation and returns its id.
func (a *api) conversation(ctx context.Context) (string, error) {
	var made struct{ ID string }
	err := a.post(ctx, "/v1/conversations", map[string]string{}, &made)
	return made.ID, err
}

func (a *api) post(ctx context.Context, path string, body, into any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return a.call(ctx, http.MethodPost, path, bytes.NewReader(raw), into)
}

func (a *api) call(ctx context.Context, method, path string, body io.Reader, into any) error {
	resp, err := a.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return &answerError{method: method, path: path, status: resp.StatusCode, body: raw}
	}
	return json.Unmarshal(raw, into)
}

// answerError is an answer other than 200.
type answerError struct {
	method, path string
	status       int
	body         []byte
}

func (e *answerError) Error() string {
	return fmt.Sprintf("%s %s: %d %s", e.method, e.path, e.status, e.body)
}

// send sends a request; the caller closes the response's body.
func (a *api) send(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, body)
	if err != nil {
		return nil, err
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return a.client.Do(req)
}

// get makes a request of which only the success counts, and reads all of the
// answer, so that the connection is used again.
func get(ctx context.Context, client *http.Client, url, token string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %d", url, resp.StatusCode)
	}
	return nil
}
