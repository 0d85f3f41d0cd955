package gateway_test

import (
	"encoding/base64"
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/gatehouse/gatehouse/platform/fault"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
)

// frame returns a message in a frame of gRPC.
func frame(t *testing.T, m proto.Message) []byte {
	t.Helper()
	body, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)
}

// webCall makes a gRPC-Web call by hand and returns its messages and trailers.
func (h *harness) webCall(text bool, path string, m proto.Message, headers ...string) (messages [][]byte, trailers string, a reply) {
	h.t.Helper()
	contentType, body := "application/grpc-web+proto", frame(h.t, m)
	if text {
		contentType, body = "application/grpc-web-text", []byte(base64.StdEncoding.EncodeToString(body))
	}
	a = h.do(h.request("POST", path, string(body), append(headers, "Content-Type", contentType)...))
	messages, trailers = webFrames(h.t, a.body, text)
	return messages, trailers, a
}

// webFrames returns the messages and trailers of a gRPC-Web response.
func webFrames(t *testing.T, body string, text bool) (messages [][]byte, trailers string) {
	t.Helper()
	raw := []byte(body)
	if text {
		raw = nil
		for _, quad := range strings.SplitAfter(body, "=") { // each write is padded by itself
			part, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, strings.NewReader(strings.TrimLeft(quad, "="))))
			raw = append(raw, part...)
			if err != nil {
				decoded, err := base64.RawStdEncoding.DecodeString(strings.Trim(quad, "="))
				if err != nil {
					t.Fatal(err)
				}
				raw = append(raw[:len(raw)-len(part)], decoded...)
			}
		}
	}
	for len(raw) >= 5 {
		size := binary.BigEndian.Uint32(raw[1:5])
		payload := raw[5 : 5+size]
		if raw[0]&0x80 != 0 {
			trailers = string(payload)
		} else {
			messages = append(messages, payload)
		}
		raw = raw[5+size:]
	}
	return messages, trailers
}

// S53, S56: gRPC-Web.
func TestGRPCWeb(t *testing.T) {
	t.Parallel()
	d := &double{watch: numbers(3)}
	h := start(t, d, inMemory)
	for name, text := range map[string]bool{"binary": false, "text": true} {
		t.Run(name+"/a single call", func(t *testing.T) {
			messages, trailers, a := h.webCall(text, authv1.AccountService_GetMe_FullMethodName, &authv1.GetMeRequest{}, "X-Gatehouse-Client-Ip", "6.6.6.6")
			var me authv1.Me
			if len(messages) != 1 || proto.Unmarshal(messages[0], &me) != nil || me.GetEmail() != "ada@example.com" {
				t.Fatalf("%q %q", messages, a.body)
			}
			if !strings.Contains(trailers, "grpc-status: 0\r\n") {
				t.Errorf("trailers %q", trailers)
			}
			if got := a.Header.Get("Content-Type"); !strings.HasPrefix(got, "application/grpc-web") || strings.Contains(got, "text") != text {
				t.Errorf("Content-Type %q", got)
			}
			if got := h.saw().Get("x-gatehouse-client-ip"); len(got) != 1 || got[0] != "127.0.0.1" {
				t.Errorf("client ip %q", got)
			}
		})
		t.Run(name+"/a stream", func(t *testing.T) {
			messages, trailers, _ := h.webCall(text, chatv1.RunService_WatchRun_FullMethodName, &chatv1.WatchRunRequest{})
			if len(messages) != 3 || !strings.Contains(trailers, "grpc-status: 0") {
				t.Errorf("%d messages, trailers %q", len(messages), trailers)
			}
		})
		t.Run(name+"/a failure", func(t *testing.T) {
			messages, trailers, _ := h.webCall(text, managementv1.AssistantService_CreateAssistant_FullMethodName, &managementv1.CreateAssistantRequest{})
			if len(messages) != 0 || !strings.Contains(trailers, "grpc-status: 3") || !strings.Contains(trailers, "grpc-status-details-bin: ") {
				t.Errorf("%q, trailers %q", messages, trailers)
			}
		})
		t.Run(name+"/an internal service", func(t *testing.T) {
			_, trailers, a := h.webCall(text, authv1.ServiceTokenService_IssueServiceToken_FullMethodName, &authv1.IssueServiceTokenRequest{})
			if !strings.Contains(trailers, "grpc-status: 12") || strings.Contains(a.body, "stolen") {
				t.Errorf("trailers %q", trailers)
			}
		})
	}
}

// A client that sends invalid base64 gets an error that it must not retry.
func TestGRPCWeb_InvalidBase64_IsInvalidArgument(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	for name, body := range map[string]string{
		"another character": "AAAA*AAA",
		"half a quantum":    "AAAAAAA",
		"padding within":    "AA==AAAA",
	} {
		t.Run(name, func(t *testing.T) {
			a := h.call("POST", authv1.AccountService_GetMe_FullMethodName, body, "Content-Type", "application/grpc-web-text")
			_, trailers := webFrames(t, a.body, true)
			if !strings.Contains(trailers, "grpc-status: 3\r\n") {
				t.Errorf("trailers %q", trailers)
			}
		})
	}
}

func TestGRPCWeb_BrokenStream_EndsWithStatus(t *testing.T) {
	t.Parallel()
	d := &double{watch: func(_ *chatv1.WatchRunRequest, stream watchStream) error {
		if err := accept(stream); err != nil {
			return err
		}
		if err := stream.Send(delta(1, "half")); err != nil {
			return err
		}
		return fault.New(faultv1.Reason_REASON_UNAVAILABLE, "lost: 50%%")
	}}
	h := start(t, d, inMemory)
	messages, trailers, _ := h.webCall(true, chatv1.RunService_WatchRun_FullMethodName, &chatv1.WatchRunRequest{})
	if len(messages) != 1 || !strings.Contains(trailers, "grpc-status: 14") || !strings.Contains(trailers, "lost: 50%25") {
		t.Errorf("%d messages, trailers %q", len(messages), trailers)
	}
}
