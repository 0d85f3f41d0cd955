package openai

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"time"
)

// newBaseTransport returns the connection pool of a provider. The default of net/http does
// not limit how long a server may take to respond.
func newBaseTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          256,
		MaxIdleConnsPerHost:   128,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 90 * time.Second,
		// A compressed stream arrives in blocks, not in tokens.
		DisableCompression: true,
	}
}

// transport repairs the requests and responses of langchaingo. It does not change requests
// without an exchange in their context.
type transport struct {
	base     http.RoundTripper
	provider string
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ex, ok := exchangeOf(req.Context())
	if !ok {
		return t.base.RoundTrip(req)
	}
	ctx, cancel := context.WithCancel(req.Context())
	patched, err := patchRequest(req.WithContext(ctx), ex)
	if err != nil {
		cancel()
		return nil, ex.fail(rejected(t.provider, err))
	}
	response, err := t.base.RoundTrip(patched)
	if err != nil {
		cancel()
		return nil, ex.fail(unreachable(t.provider, err))
	}
	if response.StatusCode != http.StatusOK {
		defer cancel()
		defer response.Body.Close() //nolint:errcheck // the body was read
		return nil, ex.fail(refusal(t.provider, ex.model, response))
	}
	ex.accept()
	response.Body = newRepair(ctx, cancel, response.Body, ex, t.provider)
	response.ContentLength = -1
	return response, nil
}

// patchRequest returns a copy of the request. It adds the parameters that langchaingo cannot
// send, and removes those that the call does not have.
func patchRequest(req *http.Request, ex *exchange) (*http.Request, error) {
	raw, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	if err := req.Body.Close(); err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, err
	}
	if err := patchFields(fields, ex); err != nil {
		return nil, err
	}
	body, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	patched := req.Clone(req.Context())
	patched.Body = io.NopCloser(bytes.NewReader(body))
	patched.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	patched.ContentLength = int64(len(body))
	if ex.options.APIKey == noKey {
		patched.Header.Del("Authorization")
	}
	return patched, nil
}

func patchFields(fields map[string]json.RawMessage, ex *exchange) error {
	delete(fields, "temperature")
	if !ex.reasoning() {
		for name, value := range map[string]*float64{"temperature": ex.request.Temperature, "top_p": ex.request.TopP} {
			if value == nil {
				continue
			}
			encoded, err := json.Marshal(*value)
			if err != nil {
				return err
			}
			fields[name] = encoded
		}
	}
	if limit, ok := fields["max_completion_tokens"]; ok && ex.options.LegacyMaxTokens {
		fields["max_tokens"] = limit
		delete(fields, "max_completion_tokens")
	}
	return nil
}
