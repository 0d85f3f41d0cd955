// Package catalog links every contract of Gatehouse and lists what they
// declare: each RPC with its rule, its exposure and its REST routes, and each
// permission.
//
// Three callers need the whole surface: the authorizer, which does not start with an
// RPC without a rule; the gateway, which exposes the public services; and the tests
// that walk every RPC.
package catalog

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	// Linked so that the registry knows them.
	_ "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	_ "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	_ "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	_ "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
	_ "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"

	optionsv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/options/v1"
)

const ownPackages = "gatehouse."

// Route is one REST binding of an RPC.
type Route struct {
	// Verb is the HTTP method.
	Verb string
	// Path is the pattern, for example "/v1/assistants/{id}".
	Path string
}

// Method is one RPC with the declarations of its contract.
type Method struct {
	// FullMethod is the name in gRPC, for example "/gatehouse.auth.v1.AccountService/GetMe".
	FullMethod string
	// Access is the rule, or nil when the contract states none.
	Access *optionsv1.Access
	// Public reports whether the RPC is reachable through the gateway.
	Public bool
	// Routes are the REST bindings; none when the RPC has no REST form.
	Routes []Route
	// Descriptor describes the request, the response and the streaming.
	Descriptor protoreflect.MethodDescriptor
}

// ReadOnly reports whether the contract declares that the RPC has no side effects.
func (m Method) ReadOnly() bool {
	options, ok := m.Descriptor.Options().(*descriptorpb.MethodOptions)
	return ok && options.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS
}

// Repeatable reports whether the contract declares that a call may be repeated without
// further effect: it only reads, is idempotent, or stores idempotency keys itself.
func (m Method) Repeatable() bool {
	options, ok := m.Descriptor.Options().(*descriptorpb.MethodOptions)
	return ok && options.GetIdempotencyLevel() != descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN
}

// Secret reports whether the response has a field that the contract hides from logs.
func (m Method) Secret() bool {
	return redacts(m.Descriptor.Output(), map[protoreflect.FullName]bool{})
}

func redacts(message protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool) bool {
	if seen[message.FullName()] {
		return false
	}
	seen[message.FullName()] = true
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		if options, ok := field.Options().(*descriptorpb.FieldOptions); ok && options.GetDebugRedact() {
			return true
		}
		if field.Message() != nil && redacts(field.Message(), seen) {
			return true
		}
	}
	return false
}

// Methods returns every RPC of Gatehouse, ordered by name.
func Methods() []Method {
	var out []Method
	rangeFiles(func(file protoreflect.FileDescriptor) {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				out = append(out, describe(service, service.Methods().Get(j)))
			}
		}
	})
	sort.Slice(out, func(i, j int) bool { return out[i].FullMethod < out[j].FullMethod })
	return out
}

// PublicServices returns the full names of the services that the gateway exposes.
func PublicServices() []string {
	var out []string
	rangeFiles(func(file protoreflect.FileDescriptor) {
		for i := range file.Services().Len() {
			if service := file.Services().Get(i); isPublic(service) {
				out = append(out, string(service.FullName()))
			}
		}
	})
	sort.Strings(out)
	return out
}

// Permissions returns every declared permission, ordered by name.
func Permissions() []*optionsv1.Permission {
	var out []*optionsv1.Permission
	rangeFiles(func(file protoreflect.FileDescriptor) {
		if declared, ok := proto.GetExtension(file.Options(), optionsv1.E_Permission).([]*optionsv1.Permission); ok {
			out = append(out, declared...)
		}
	})
	sort.Slice(out, func(i, j int) bool { return out[i].GetName() < out[j].GetName() })
	return out
}

// Check returns all of these errors together: an RPC without a rule, a rule that names an
// undeclared permission or a resource field that the request does not have, and an
// internal rule on a public service.
func Check() error {
	declared := map[string]bool{}
	for _, p := range Permissions() {
		declared[p.GetName()] = true
	}
	var problems []error
	for _, m := range Methods() {
		problems = append(problems, checkMethod(m, declared))
	}
	return errors.Join(problems...)
}

func checkMethod(m Method, permissions map[string]bool) error {
	if m.Access.GetRule() == nil {
		return fmt.Errorf("%s: states no access rule", m.FullMethod)
	}
	if p, ok := m.Access.GetRule().(*optionsv1.Access_Permission); ok && !permissions[p.Permission] {
		return fmt.Errorf("%s: permission %q is not declared", m.FullMethod, p.Permission)
	}
	if m.Access.GetInternal() && m.Public {
		return fmt.Errorf("%s: is internal, but its service is public", m.FullMethod)
	}
	if path := m.Access.GetResource(); path != "" && FieldAt(m.Descriptor.Input(), path) == nil {
		return fmt.Errorf("%s: the request has no field %q", m.FullMethod, path)
	}
	return nil
}

// FieldAt returns the field at a dotted path below a message, or nil.
func FieldAt(message protoreflect.MessageDescriptor, path string) protoreflect.FieldDescriptor {
	head, rest, nested := strings.Cut(path, ".")
	field := message.Fields().ByName(protoreflect.Name(head))
	if field == nil || !nested {
		return field
	}
	if field.Message() == nil {
		return nil
	}
	return FieldAt(field.Message(), rest)
}

func describe(service protoreflect.ServiceDescriptor, method protoreflect.MethodDescriptor) Method {
	m := Method{
		FullMethod: "/" + string(service.FullName()) + "/" + string(method.Name()),
		Public:     isPublic(service),
		Descriptor: method,
	}
	if access, ok := proto.GetExtension(method.Options(), optionsv1.E_Access).(*optionsv1.Access); ok {
		m.Access = access
	}
	if rule, ok := proto.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule); ok && rule != nil {
		for _, r := range append([]*annotations.HttpRule{rule}, rule.GetAdditionalBindings()...) {
			if route, ok := routeOf(r); ok {
				m.Routes = append(m.Routes, route)
			}
		}
	}
	return m
}

func routeOf(rule *annotations.HttpRule) (Route, bool) {
	switch p := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		return Route{"GET", p.Get}, true
	case *annotations.HttpRule_Post:
		return Route{"POST", p.Post}, true
	case *annotations.HttpRule_Put:
		return Route{"PUT", p.Put}, true
	case *annotations.HttpRule_Patch:
		return Route{"PATCH", p.Patch}, true
	case *annotations.HttpRule_Delete:
		return Route{"DELETE", p.Delete}, true
	default:
		return Route{}, false
	}
}

func isPublic(service protoreflect.ServiceDescriptor) bool {
	return proto.GetExtension(service.Options(), optionsv1.E_Exposure) == optionsv1.Exposure_EXPOSURE_PUBLIC
}

func rangeFiles(visit func(protoreflect.FileDescriptor)) {
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if strings.HasPrefix(string(file.Package()), ownPackages) {
			visit(file)
		}
		return true
	})
}
