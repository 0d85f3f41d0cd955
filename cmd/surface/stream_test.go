package surface_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/proto/catalog"
)

// refusal is a request that every streaming RPC refuses.
type refusal struct {
	name       string
	credential string
	// resource is the id that the request names. If byResource is true, the refusal depends
	// on the resource, and RPCs without a resource are skipped.
	resource   string
	byResource bool
	code       codes.Code
	status     int
}

// S85: every protocol returns the refusal of a stream as an error, with rate limits on and off:
// never as an empty stream, and never as 200 over REST.
func TestS85RefusedStreamsAreErrorsInEveryProtocol(t *testing.T) {
	t.Parallel()
	for _, limits := range []string{"on", "off"} {
		t.Run("limits "+limits, func(t *testing.T) {
			t.Parallel()
			i := inprocess.Start(t, map[string]string{"GATEHOUSE_RATE_LIMITS": limits})
			owner := i.SignUp(t, "owner@example.com")
			narrow, _ := createKey(t, i, owner, "members.read")
			conn, err := grpc.NewClient(strings.TrimPrefix(i.URL, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			tried := 0
			for _, m := range catalog.Methods() {
				if !m.Public || !m.Descriptor.IsStreamingServer() && !m.Descriptor.IsStreamingClient() {
					continue
				}
				for _, r := range []refusal{
					{"no credential", "", id.New(), false, codes.Unauthenticated, 401},
					{"a forged credential", "e30.e30.x", id.New(), false, codes.Unauthenticated, 401},
					{"too few scopes", narrow.AccessToken, id.New(), false, codes.PermissionDenied, 403},
					{"an absent resource", owner.AccessToken, id.New(), true, codes.NotFound, 404},
					{"no id", owner.AccessToken, "x", true, codes.InvalidArgument, 400},
				} {
					if r.byResource && m.Access.GetResource() == "" {
						continue
					}
					tried++
					checkRefused(t, i, conn, m, r, limits == "on")
				}
			}
			if tried < 15 {
				t.Errorf("only %d refusals were tried", tried)
			}
		})
	}
}

// checkRefused opens the stream in every protocol and checks that it is refused.
func checkRefused(t *testing.T, i *inprocess.Installation, conn *grpc.ClientConn, m catalog.Method, r refusal, limited bool) {
	t.Helper()
	message, ctx := request(t, m, r.resource), t.Context()
	if r.credential != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+r.credential)
	}
	if st := call(ctx, conn, m, message); st.Code() != r.code {
		t.Errorf("gRPC %s with %s: %v %s, want %v", m.FullMethod, r.name, st.Code(), st.Message(), r.code)
	}
	method, path, contentType, body := restRequest(t, m, message)
	status, said, header := sendBody(t, i, r.credential, method, path, contentType, body)
	if status != r.status || header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s %s with %s: %d %s, want %d", method, path, r.name, status, said, r.status)
	}
	checkLimitHeaders(t, "REST", m, r, header, limited)
	raw, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	_, said, header = sendBody(t, i, r.credential, http.MethodPost, m.FullMethod, "application/grpc-web+proto", envelope(raw))
	if want := fmt.Sprintf("grpc-status: %d\r\n", r.code); !bytes.Contains(said, []byte(want)) || len(said) > 0 && said[0] != 0x80 {
		t.Errorf("gRPC-Web %s with %s: %q, want %q alone", m.FullMethod, r.name, said, want)
	}
	checkLimitHeaders(t, "gRPC-Web", m, r, header, limited)
	_, said, header = sendBody(t, i, r.credential, http.MethodPost, m.FullMethod, "application/connect+proto", envelope(raw))
	if got := connectCode(said); got != r.code {
		t.Errorf("Connect %s with %s: %v in %q, want %v", m.FullMethod, r.name, got, said, r.code)
	}
	checkLimitHeaders(t, "Connect", m, r, header, limited)
}

// checkLimitHeaders checks that a refusal has the headers of the rate limit: of the caller if it is
// identified, of the address otherwise.
func checkLimitHeaders(t *testing.T, protocol string, m catalog.Method, r refusal, header http.Header, limited bool) {
	t.Helper()
	policy := header.Get("RateLimit-Policy")
	identified := r.code != codes.Unauthenticated
	if limited != (policy != "") || limited && identified == strings.HasPrefix(policy, `"address"`) {
		t.Errorf("%s %s with %s: limits on: %v, RateLimit-Policy: %q", protocol, m.FullMethod, r.name, limited, policy)
	}
	if header.Get("X-Gatehouse-Stream-Accepted") != "" {
		t.Errorf("%s %s with %s: returns a header that is internal to gateway and services", protocol, m.FullMethod, r.name)
	}
}

// sendBody sends a request and returns the status, body and headers of the response.
func sendBody(t *testing.T, i *inprocess.Installation, credential, method, path, contentType string, body []byte) (int, []byte, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, i.URL+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	if strings.HasPrefix(contentType, "application/connect") {
		req.Header.Set("Connect-Protocol-Version", "1")
	}
	if credential != "" {
		req.Header.Set("Authorization", "Bearer "+credential)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, said, resp.Header
}

// envelope frames a message as gRPC-Web and Connect do.
func envelope(message []byte) []byte {
	out := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	return append(out, message...)
}

// connectCode returns the code of the frame that ends a Connect stream, which must be the only
// frame.
func connectCode(said []byte) codes.Code {
	const prefix, last = 5, 2
	var end struct{ Error struct{ Code string } }
	var code codes.Code
	if len(said) < prefix || said[0] != last || json.Unmarshal(said[prefix:], &end) != nil ||
		code.UnmarshalJSON([]byte(`"`+strings.ToUpper(end.Error.Code)+`"`)) != nil {
		return codes.OK
	}
	return code
}

// S85: an accepted stream has the headers of the rate limit too.
func TestS85AcceptedStreamsHaveTheLimitHeaders(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, map[string]string{"GATEHOUSE_RATE_LIMITS": "on"})
	owner := i.SignUp(t, "owner@example.com")
	conversation := i.Create(t, owner, "/v1/conversations", map[string]string{"title": "One"})
	resp := i.Request(t, owner, http.MethodPost, "/v1/conversations/"+conversation+"/messages:stream", map[string]string{"content": "What is it?"})
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || !bytes.Contains(raw, []byte("event: run.completed")) {
		t.Errorf("%d %s", resp.StatusCode, raw)
	}
	if !strings.HasPrefix(resp.Header.Get("RateLimit-Policy"), `"model"`) || resp.Header.Get("RateLimit") == "" {
		t.Errorf("headers %v", resp.Header)
	}
}
