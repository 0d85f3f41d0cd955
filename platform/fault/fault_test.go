package fault_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/sources"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

var update = flag.Bool("update", false, "rewrite docs/errors.md")

const page = "../../docs/errors.md"

// Every reason has a complete spec, is the same after conversion to gRPC and back, and has
// the status of its spec over HTTP.
func TestReason_ConvertedToGRPCAndHTTP_FollowsItsSpec(t *testing.T) {
	t.Parallel()
	for number, name := range faultv1.Reason_name {
		if number == 0 {
			continue
		}
		reason := faultv1.Reason(number)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := fault.SpecOf(reason)
			if spec.Code == codes.OK || spec.Code > codes.Unauthenticated || spec.HTTPStatus < 400 || spec.Title == "" || spec.Description == "" {
				t.Fatalf("incomplete spec %+v", spec)
			}
			var broken fault.Collector
			broken.Add("field", "message")
			f := fault.New(reason, "detail").WithViolations(&broken).WithRetryAfter(3 * time.Second)
			back := fault.From(fault.ToStatus(f).Err())
			if back.Reason() != reason || back.Detail() != "detail" || back.RetryAfter() != 3*time.Second || len(back.Violations()) != 1 {
				t.Errorf("the converted fault is %+v", back)
			}
			recorder := httptest.NewRecorder()
			fault.WriteProblem(recorder, f, "/v1/things", "r1")
			var problem fault.Problem
			if err := json.Unmarshal(recorder.Body.Bytes(), &problem); err != nil {
				t.Fatal(err)
			}
			if recorder.Code != spec.HTTPStatus || problem.Reason != fault.Name(reason) || problem.Code != fault.CodeName(reason) {
				t.Errorf("the response is %d %+v", recorder.Code, problem)
			}
		})
	}
}

func TestS58TheCauseIsNotSentToClients(t *testing.T) {
	t.Parallel()
	f := fault.Wrap(errors.New("dial 10.0.0.7: refused"), faultv1.Reason_REASON_UNAVAILABLE, "try again")
	if !strings.Contains(f.Error(), "10.0.0.7") {
		t.Error("the text for the log does not contain the cause")
	}
	recorder := httptest.NewRecorder()
	fault.WriteProblem(recorder, f, "/", "r1")
	if strings.Contains(recorder.Body.String(), "10.0.0.7") || strings.Contains(fault.ToStatus(f).String(), "10.0.0.7") {
		t.Error("the response contains the cause")
	}
}

func TestFrom_ConvertsEveryError(t *testing.T) {
	t.Parallel()
	notFound := fault.NotFound("assistant")
	for _, tc := range []struct {
		name string
		err  error
		want faultv1.Reason
	}{
		{"a fault in the chain", fmt.Errorf("get: %w", notFound), faultv1.Reason_REASON_NOT_FOUND},
		{"a cancelled context", fmt.Errorf("get: %w", context.Canceled), faultv1.Reason_REASON_CANCELLED},
		{"an expired context", context.DeadlineExceeded, faultv1.Reason_REASON_DEADLINE_EXCEEDED},
		{"anything else", errors.New("boom"), faultv1.Reason_REASON_INTERNAL},
		{"gRPC's own status", status.Error(codes.Unavailable, "connection error: 10.0.0.7"), faultv1.Reason_REASON_UNAVAILABLE},
		{"a message over the limit", status.Error(codes.ResourceExhausted, "too large"), faultv1.Reason_REASON_PAYLOAD_TOO_LARGE},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := fault.From(tc.err)
			if f.Reason() != tc.want {
				t.Errorf("got %v, want %v", f.Reason(), tc.want)
			}
			if strings.Contains(f.Detail(), "10.0.0.7") {
				t.Errorf("the detail contains an address: %s", f.Detail())
			}
		})
	}
	if fault.From(nil) != nil {
		t.Error("no error became a fault")
	}
}

func TestCheckEtag_OtherEtag_IsAMismatch(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		built, present string
		want           faultv1.Reason
	}{
		{"", "7", faultv1.Reason_REASON_UNSPECIFIED},
		{"7", "7", faultv1.Reason_REASON_UNSPECIFIED},
		{"6", "7", faultv1.Reason_REASON_ETAG_MISMATCH},
	} {
		if err := fault.CheckEtag("role", tc.built, tc.present); fault.ReasonOf(err) != tc.want {
			t.Errorf("on %q at %q: %v, want %v", tc.built, tc.present, err, tc.want)
		}
	}
}

func TestFieldName_ConvertsToJSON(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"": "", "id": "id", "display_name": "displayName", "displayName": "displayName", "post_logout_redirect_uris": "postLogoutRedirectUris",
		"assistant.collection_ids": "assistant.collectionIds", "line_2": "line2",
	} {
		if got := fault.FieldName(name); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
}

func TestWriteProblem_SetsTheHeadersOfTheStatus(t *testing.T) {
	t.Parallel()
	for reason, want := range map[faultv1.Reason][2]string{
		faultv1.Reason_REASON_UNAUTHENTICATED:      {"WWW-Authenticate", `Bearer realm="gatehouse", error="invalid_token"`},
		faultv1.Reason_REASON_RATE_LIMITED:         {"Retry-After", "1"},
		faultv1.Reason_REASON_DATABASE_UNAVAILABLE: {"Retry-After", "1"},
	} {
		recorder := httptest.NewRecorder()
		fault.WriteProblem(recorder, fault.New(reason, "x"), "/", "")
		if got := recorder.Header().Get(want[0]); got != want[1] {
			t.Errorf("%v: %s is %q, want %q", reason, want[0], got, want[1])
		}
		if recorder.Header().Get("Content-Type") != fault.ProblemContentType {
			t.Errorf("%v: content type %s", reason, recorder.Header().Get("Content-Type"))
		}
	}
}

// docs/errors.md is generated from proto/gatehouse/fault/v1/reason.proto.
func TestErrorsPageIsUpToDate(t *testing.T) {
	t.Parallel()
	sources.Depend()
	var b strings.Builder
	b.WriteString("# Errors\n\nGenerated from `proto/gatehouse/fault/v1/reason.proto`; do not edit.\n" +
		"Every failure carries one of these reasons, which are stable: switch on them.\n\n" +
		"| reason | HTTP | gRPC | meaning |\n| --- | --- | --- | --- |\n")
	values := faultv1.Reason(0).Descriptor().Values()
	for i := 1; i < values.Len(); i++ {
		reason := faultv1.Reason(values.Get(i).Number())
		spec := fault.SpecOf(reason)
		fmt.Fprintf(&b, "| `%s` | %d %s | `%s` | %s |\n", fault.Name(reason), spec.HTTPStatus,
			http.StatusText(spec.HTTPStatus), fault.CodeName(reason), spec.Description)
	}
	if *update {
		if err := os.WriteFile(page, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != b.String() {
		t.Error("docs/errors.md is stale: go test ./fault -update")
	}
}
