package gateway

import (
	"context"
	"fmt"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gatehouse/gatehouse/platform/rpcserver"
	"github.com/gatehouse/gatehouse/proto/catalog"
)

// publicService is a service that the gateway exposes. publicServices, which is
// generated from the contracts, lists them.
type publicService struct {
	name string
	// backend names the service process that serves it: auth, management or chat.
	backend string
	// register adds its REST routes to a mux. It is nil when the service has none.
	register func(context.Context, *runtime.ServeMux, *grpc.ClientConn) error
}

// method is one RPC that the gateway exposes.
type method struct {
	fullName string
	service  string
	upstream *upstream
	// public reports whether it needs no credential.
	public bool
	// streams reports whether a call may stay open for long.
	streams bool
	// uploads reports whether a request is a stream, which is passed on as it
	// arrives.
	uploads bool
	input   protoreflect.MessageDescriptor
}

// bodyLimit returns the largest message of the method that the gateway reads, in bytes.
func (m *method) bodyLimit() int64 {
	if m.public {
		return rpcserver.PublicLimit
	}
	return BodyLimit
}

// route is one REST binding of a method.
type route struct {
	*method
	verb, pattern string
	// body names the field of the request message that the JSON body fills: "*" for
	// the message itself, "" when there is no body.
	body string
	// params are the fields that the path fills.
	params map[string]bool
}

// table contains every RPC and every REST route of the public services.
type table struct {
	methods map[string]*method // by full name
	routes  map[string]*route  // by verb and pattern
}

// newTable reads the contracts. It returns an error for a public service that no
// upstream serves, or that publicServices does not list.
func newTable(upstreams *upstreams) (*table, error) {
	serving := map[string]*upstream{}
	for _, s := range publicServices() {
		serving[s.name] = upstreams.byName[s.backend]
	}
	t := &table{methods: map[string]*method{}, routes: map[string]*route{}}
	for _, m := range catalog.Methods() {
		if !m.Public {
			continue
		}
		service := string(m.Descriptor.Parent().FullName())
		up := serving[service]
		if up == nil {
			return nil, fmt.Errorf("no upstream serves %s: run make generate, and see proto/internal/servicegen", service)
		}
		known := &method{
			fullName: m.FullMethod,
			service:  service,
			upstream: up,
			public:   m.Access.GetPublic(),
			streams:  m.Descriptor.IsStreamingServer() || m.Descriptor.IsStreamingClient(),
			uploads:  m.Descriptor.IsStreamingClient(),
			input:    m.Descriptor.Input(),
		}
		t.methods[m.FullMethod] = known
		t.addRoutes(known, m)
	}
	return t, nil
}

func (t *table) addRoutes(known *method, m catalog.Method) {
	rule, ok := proto.GetExtension(m.Descriptor.Options(), annotations.E_Http).(*annotations.HttpRule)
	if !ok || rule == nil {
		return
	}
	bodies := []string{rule.GetBody()}
	for _, more := range rule.GetAdditionalBindings() {
		bodies = append(bodies, more.GetBody())
	}
	for i, r := range m.Routes {
		t.routes[r.Verb+" "+r.Path] = &route{
			method: known, verb: r.Verb, pattern: r.Path, body: bodies[i], params: pathParams(r.Path),
		}
	}
}

// pathParams returns the fields in a pattern such as "/v1/runs/{run_id}/events".
func pathParams(pattern string) map[string]bool {
	params := map[string]bool{}
	for rest := pattern; ; {
		_, after, found := strings.Cut(rest, "{")
		if !found {
			return params
		}
		name, after, _ := strings.Cut(after, "}")
		name, _, _ = strings.Cut(name, "=")
		params[name] = true
		rest = after
	}
}

// bodyMessage describes the JSON body of the route. It is nil when the route has no
// body.
func (r *route) bodyMessage() protoreflect.MessageDescriptor {
	switch r.body {
	case "":
		return nil
	case "*":
		return r.input
	default:
		return catalog.FieldAt(r.input, r.body).Message()
	}
}
