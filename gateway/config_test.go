package gateway_test

import (
	"context"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"

	"github.com/gatehouse/gatehouse/gateway"
)

// panicking is a source of tokens that panics.
type panicking struct{}

func (panicking) Token(context.Context, string) (string, error) { panic("boom") }

// plainEncoder writes attributes as they are.
type plainEncoder struct{}

func (plainEncoder) ID() attribute.EncoderID { return attribute.EncoderID{} }

func (plainEncoder) Encode(iterator attribute.Iterator) string {
	var out []string
	for iterator.Next() {
		kv := iterator.Attribute()
		out = append(out, string(kv.Key)+"="+kv.Value.String())
	}
	return strings.Join(out, " ")
}

func TestValidate_InvalidConfig_NamesEveryProblem(t *testing.T) {
	t.Parallel()
	err := gateway.Config{
		PublicURL: "http://example.com", CORSOrigins: []string{"*", "https://a.example/", "https://ok.example", "null", "https://u@b.example"},
		TrustedProxyHops: -1, DrainTimeout: -1,
	}.Validate()
	for _, want := range []string{"https outside of local", `"*"`, `"https://a.example/"`, `"null"`, `"https://u@b.example"`, "hops", "drain"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not named in %v", want, err)
		}
	}
	if err != nil && strings.Contains(err.Error(), "ok.example") {
		t.Error("a good origin is refused")
	}
	for _, bad := range []string{"", "gatehouse.example", "ftp://x", "https://x/path", "https://x?q=1"} {
		if (gateway.Config{PublicURL: bad}).Validate() == nil {
			t.Errorf("public URL %q is accepted", bad)
		}
	}
	for _, good := range []gateway.Config{
		{PublicURL: "http://192.0.2.1:8080", Local: true}, {PublicURL: "http://localhost:8080"}, {PublicURL: "http://127.0.0.1:8080"}, {PublicURL: "http://[::1]"},
	} {
		if err := good.Validate(); err != nil {
			t.Error(err)
		}
	}
}

func TestNew_MissingDeps_NamesEach(t *testing.T) {
	t.Parallel()
	_, err := gateway.New(gateway.Config{PublicURL: "https://x.example"}, gateway.Deps{})
	for _, want := range []string{"Auth", "Management", "Chat", "Tokens", "Log", "Tracer", "Meter", "Clock"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named in %v", want, err)
		}
	}
}
