package egress_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/platform/egress"
)

// S65: the client connects to none of these addresses, in any notation.
func TestS65AGuardedClientRefusesInternalAddresses(t *testing.T) {
	t.Parallel()
	client := egress.Guarded(nil)
	for _, host := range []string{
		"0.1.2.3", "10.0.0.1", "100.100.100.200", "127.1.2.3", "169.254.169.254", "169.254.170.2", "172.31.255.255", "192.0.0.192",
		"192.168.1.1", "198.18.0.1", "192.88.99.1", "224.0.0.1", "255.255.255.255", "[::]", "[::1]", "[::ffff:169.254.169.254]",
		"[::127.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::1]", "[100::1]", "[2001::1]", "[2002:7f00:1::]", "[fd00:ec2::254]",
		"[fec0::1]", "[ff02::1]", "localhost",
	} {
		_, err := get(t, client, "http://"+host+":9/")
		if !egress.Denied(err) {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestClient_LongBodyOrRedirect_IsCutOrNotFollowed(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 2<<20)) })
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/long", http.StatusFound) })
	mux.HandleFunc("/short", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "short") })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	for name, client := range map[string]*http.Client{
		"open": egress.Open(), "allowed": egress.Guarded([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}),
	} {
		if body, err := get(t, client, server.URL+"/short"); err != nil || body != "200 short" {
			t.Errorf("%s: %q %v", name, body, err)
		}
		if _, err := get(t, client, server.URL+"/long"); err == nil {
			t.Errorf("%s read a body without limit", name)
		}
		if body, err := get(t, client, server.URL+"/moved"); err != nil || !strings.HasPrefix(body, "302") {
			t.Errorf("%s: %q %v", name, body, err)
		}
		client.CloseIdleConnections()
	}
}

func TestParsePrefixes_NotACIDR_IsNamed(t *testing.T) {
	t.Parallel()
	if got, err := egress.ParsePrefixes([]string{"10.1.2.3/8", "fd00::/8"}); err != nil || len(got) != 2 || got[0].String() != "10.0.0.0/8" {
		t.Errorf("%v %v", got, err)
	}
	if _, err := egress.ParsePrefixes([]string{"10.0.0.1", "x/8", "10.0.0.0/8"}); err == nil || strings.Count(err.Error(), "not a CIDR") != 2 {
		t.Errorf("%v", err)
	}
}

func get(t *testing.T, client *http.Client, address string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	return strings.TrimSpace(resp.Status[:3] + " " + string(raw)), err
}
