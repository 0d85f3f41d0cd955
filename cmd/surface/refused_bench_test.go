package surface_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
)

// costlyBody is a request that is refused after as much work as possible.
type costlyBody struct {
	name, path, contentType string
	body                    []byte
	unpacked                int // bytes of the body
	http2                   bool
	// anonymous sends no credential, and forged sends a forged one.
	anonymous, forged bool
	// status is the HTTP status of the refusal. RPC protocols use 200.
	status int
	// headers are pairs of name and value.
	headers []string
}

// BenchmarkRefusedBodies measures the processor time of the product and the client for each
// refused megabyte. Run it with
//
//	cd cmd && go test ./surface -run '^$' -bench RefusedBodies -benchtime 20x
func BenchmarkRefusedBodies(b *testing.B) {
	i := inprocess.Start(b, nil)
	owner := i.SignUp(b, "owner@example.com")
	for _, c := range costlyBodies() {
		who, credential := "signed-in", owner.AccessToken
		switch {
		case c.forged:
			who, credential = "anonymous", "e30.e30.x"
		case c.anonymous:
			who, credential = "anonymous", ""
		}
		b.Run(who+"/"+c.name, func(b *testing.B) {
			protocols := new(http.Protocols)
			protocols.SetHTTP1(!c.http2)
			protocols.SetUnencryptedHTTP2(c.http2)
			transport := &http.Transport{Protocols: protocols}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport}
			before, size := processorTime(b), 0
			for b.Loop() {
				size += max(len(c.body), len(c.path), c.unpacked)
				refuse(b, client, i.URL, credential, c)
			}
			b.ReportMetric(float64(processorTime(b)-before)/1e6/(float64(size)/1e6), "cpu-ms/MB")
		})
	}
}

func refuse(b *testing.B, client *http.Client, base, credential string, c costlyBody) {
	b.Helper()
	method := http.MethodPost
	if c.body == nil {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(context.WithoutCancel(b.Context()), method, base+c.path, bytes.NewReader(c.body))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Content-Type", c.contentType)
	for n := 0; n < len(c.headers); n += 2 {
		req.Header.Add(c.headers[n], c.headers[n+1])
	}
	if credential != "" {
		req.Header.Set("Authorization", "Bearer "+credential)
	}
	resp, err := client.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	if said, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != c.status {
		b.Fatalf("%d %.300s, %v", resp.StatusCode, said, err)
	}
}

// processorTime returns the processor time that this process has used, in nanoseconds.
func processorTime(b *testing.B) int64 {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

// repeated returns a text of up to size bytes, in which an item is repeated.
func repeated(before, item, after string, size int) []byte {
	items := strings.TrimSuffix(strings.Repeat(item, (size-len(before)-len(after))/len(item)), ",")
	return []byte(before + items + after)
}

// unknownFields returns a JSON object of fields that no request has.
func unknownFields(size int) []byte {
	out := bytes.NewBufferString(`{"f":1`)
	for n := 0; out.Len() < size-16; n++ {
		fmt.Fprintf(out, `,"f%d":1`, n)
	}
	out.WriteString("}")
	return out.Bytes()
}

// gzipped returns a text, compressed.
func gzipped(text []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(text) // a buffer returns no errors
	_ = w.Close()
	return out.Bytes()
}

func costlyBodies() []costlyBody {
	const most, small = 4 << 20, 64 << 10
	const asJSON, search, signIn = "application/json", "/v1/knowledge:search", "/v1/auth/sign-in"
	const searchRPC, signInRPC = knowledgev1.KnowledgeService_Search_FullMethodName, authv1.SessionService_SignIn_FullMethodName
	ids := repeated(`{"query":"x","collectionIds":[`, `"",`, `]}`, most)
	objects := repeated(`{"query":"x","collectionIds":[`, `{},`, `]}`, most)
	item := protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), nil)
	binary := bytes.Repeat(item, most/len(item))
	strange := protowire.AppendVarint(protowire.AppendTag(nil, 1000, protowire.VarintType), 1)
	var query []string
	for n := range 199 {
		query = append(query, fmt.Sprintf("f%d=%s", n, strings.Repeat("x", 140)))
	}
	packedFrame := envelope(gzipped(binary))
	packedFrame[0] = 1
	packedGET := searchRPC + "?connect=v1&encoding=json&compression=gzip&base64=1&message=" + base64.RawURLEncoding.EncodeToString(gzipped(ids))
	return []costlyBody{
		{name: "ids without a credential", path: search, contentType: asJSON, body: ids, anonymous: true, status: 401},
		{name: "ids with a forged token", path: search, contentType: asJSON, body: ids, forged: true, status: 401},
		{name: "ids by Connect with a forged token", path: searchRPC, contentType: asJSON, body: ids, forged: true, status: 401},
		{name: "ids by gRPC with a forged token", path: searchRPC, contentType: "application/grpc", body: envelope(binary), http2: true, forged: true, status: 200},
		{name: "packed ids by gRPC with a forged token", path: searchRPC, contentType: "application/grpc", body: packedFrame, unpacked: len(binary), headers: []string{"Grpc-Encoding", "gzip"}, http2: true, forged: true, status: 200},
		{name: "packed ids by Connect with a forged token", path: searchRPC, contentType: asJSON, body: gzipped(ids), unpacked: len(ids), headers: []string{"Content-Encoding", "gzip"}, forged: true, status: 401},
		{name: "packed ids under two encodings with a forged token", path: searchRPC, contentType: "application/grpc", body: packedFrame, unpacked: len(binary), headers: []string{"Grpc-Encoding", "identity", "Grpc-Encoding", "gzip"}, http2: true, forged: true, status: 200},
		{name: "packed ids by Connect GET with a forged token", path: packedGET, unpacked: len(ids), forged: true, status: 400},
		{name: "small ids with a forged token", path: search, contentType: asJSON, body: repeated(`{"query":"x","collectionIds":[`, `"",`, `]}`, small), forged: true, status: 401},
		{name: "small unknown fields with a forged token", path: search, contentType: asJSON, body: unknownFields(small), forged: true, status: 401},
		{name: "unknown fields at sign-in", path: signIn, contentType: asJSON, body: unknownFields(small), anonymous: true, status: 400},
		{name: "unknown fields at sign-in by Connect", path: signInRPC, contentType: asJSON, body: unknownFields(small), anonymous: true, status: 400},
		{name: "unknown fields at sign-in by gRPC-Web", path: signInRPC, contentType: "application/grpc-web+proto", body: envelope(bytes.Repeat(strange, (small-100)/len(strange))), anonymous: true, status: 200},
		{name: "4 MB at sign-in", path: signIn, contentType: asJSON, body: unknownFields(most), anonymous: true, status: 413},
		{name: "a structure at a passkey's sign-in", path: "/v1/auth/passkeys:finish", contentType: asJSON, body: repeated(`{"challengeId":"x","credential":{"a":[`, `{},`, `]}}`, small), anonymous: true, status: 400},
		{name: "a query", path: "/v1/assistants?" + strings.Join(query, "&"), anonymous: true, status: 400},
		{name: "a form", path: "/oauth2/token", contentType: "application/x-www-form-urlencoded", body: repeated("", "a=&", "", 8<<10), anonymous: true, status: 400},

		{name: "ids", path: search, contentType: asJSON, body: ids, status: 400},
		{name: "as many ids as are decoded", path: search, contentType: asJSON, body: repeated(`{"query":"x","collectionIds":[`, strings.Repeat(" ", 100)+`"",`, `]}`, 1<<20), status: 400},
		{name: "as many objects as are decoded", path: search, contentType: asJSON, body: repeated(`{"query":"x","collectionIds":[`, strings.Repeat(" ", 200)+`{},`, `]}`, 1<<20), status: 400},
		{name: "objects for ids", path: search, contentType: asJSON, body: objects, status: 400},
		{name: "unknown fields", path: search, contentType: asJSON, body: unknownFields(most), status: 400},
		{name: "unknown fields by Connect", path: searchRPC, contentType: asJSON, body: unknownFields(most), status: 400},
		{name: "ids by gRPC", path: searchRPC, contentType: "application/grpc", body: envelope(binary), http2: true, status: 200},
		{name: "a long text", path: search, contentType: asJSON, body: repeated(`{"query":"`, "\\u00fc", `"}`, most), status: 400},
		{name: "a filter", path: "/v1/assistants?filter=" + url.QueryEscape(strings.Repeat(`(displayName="x" OR `, 1000)), status: 400},
	}
}
