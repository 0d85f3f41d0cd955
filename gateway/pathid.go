package gateway

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/proto/catalog"
)

// checkPathIDs refuses a body that names another resource than the path. grpc-gateway
// uses the id in the path. A proxy or a person that reads only the body would take the
// other resource for the one in use. The comparison ignores case and empty ids.
func checkPathIDs(route *route, body []byte, params map[string]string) error {
	if route.bodyMessage() == nil || len(params) == 0 {
		return nil
	}
	var broken fault.Collector
	for _, param := range slices.Sorted(maps.Keys(params)) {
		path := param
		if route.body != "*" {
			inner, below := strings.CutPrefix(param, route.body+".")
			if !below {
				continue // only the path fills this field
			}
			path = inner
		}
		given, ok := textAt(route.bodyMessage(), body, path)
		if ok && given != "" && !strings.EqualFold(given, params[param]) {
			broken.Add(fault.FieldName(path), "must equal the value in the path, or be absent")
		}
	}
	if f := broken.Fault(); f != nil {
		return f
	}
	return nil
}

// textAt returns the text at a dotted path of a JSON message. It reports false when there
// is no text. The decoder of the body reports that as an error.
func textAt(m protoreflect.MessageDescriptor, body []byte, path string) (string, bool) {
	head, rest, nested := strings.Cut(path, ".")
	field := catalog.FieldAt(m, head)
	var object map[string]json.RawMessage
	if field == nil || json.Unmarshal(body, &object) != nil {
		return "", false
	}
	raw, ok := object[field.JSONName()]
	if !ok {
		raw, ok = object[string(field.Name())]
	}
	if !ok {
		return "", false
	}
	if nested {
		return textAt(field.Message(), raw, rest)
	}
	var text string
	err := json.Unmarshal(raw, &text)
	return text, err == nil
}
