package gateway

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"

	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
)

// allocated returns how many bytes a call allocates.
func allocated(call func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	call()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// S82: the work to explain what is wrong with a body is linear in its size, not
// quadratic.
//
//nolint:paralleltest // it measures allocations
func TestS82ExplainingABodyIsLinear(t *testing.T) {
	search := &route{method: &method{input: (&knowledgev1.SearchRequest{}).ProtoReflect().Descriptor()}, body: "*"}
	for name, body := range map[string]func(n int) []byte{
		"unknown fields": func(n int) []byte {
			var fields []string
			for k := range n {
				fields = append(fields, fmt.Sprintf(`"field%06d":1`, k))
			}
			return []byte("{" + strings.Join(fields, ",") + "}")
		},
		"objects for ids": func(n int) []byte {
			return append(append([]byte(`{"collectionIds":[`), bytes.Repeat([]byte("{},"), n)...), `{}]}`...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			const n = 1000
			one, four := body(n), body(4*n)
			_ = explain(search, one) // for what is allocated once
			little := allocated(func() { _ = explain(search, one) })
			much := allocated(func() { _ = explain(search, four) })
			// Maps and slices grow by doubling, so twice the size is allowed.
			if much > 8*little {
				t.Errorf("4 times the body allocates %d bytes instead of %d", much, little)
			}
		})
	}
}
