package fault

import (
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const reasonPrefix = "REASON_"

// Spec is the representation of a reason in each protocol.
type Spec struct {
	// Code is the gRPC status code.
	Code codes.Code
	// HTTPStatus is the HTTP status.
	HTTPStatus int
	// Title is the same for every occurrence of the reason.
	Title string
	// Description explains what the reason means and what the caller can do.
	Description string
}

// specs is built once from the enum's options and only read afterwards.
var specs = readSpecs() //nolint:gochecknoglobals // a constant table

func readSpecs() map[Reason]Spec {
	values := faultv1.Reason(0).Descriptor().Values()
	out := make(map[Reason]Spec, values.Len())
	for i := range values.Len() {
		value := values.Get(i)
		spec, ok := proto.GetExtension(value.Options(), faultv1.E_Spec).(*faultv1.Spec)
		if !ok || spec == nil {
			continue
		}
		out[Reason(value.Number())] = Spec{
			Code:        codes.Code(spec.GetCode()), //nolint:gosec // codes are 0 to 16
			HTTPStatus:  int(spec.GetHttpStatus()),
			Title:       spec.GetTitle(),
			Description: spec.GetDescription(),
		}
	}
	return out
}

// SpecOf returns the spec of a reason. An unknown reason has the spec of INTERNAL.
func SpecOf(r Reason) Spec {
	if spec, ok := specs[r]; ok {
		return spec
	}
	return specs[faultv1.Reason_REASON_INTERNAL]
}

// Name returns the name of a reason in responses.
func Name(r Reason) string { return strings.TrimPrefix(r.String(), reasonPrefix) }

// ParseName returns the reason with a name in responses.
func ParseName(name string) (Reason, bool) {
	number, ok := faultv1.Reason_value[reasonPrefix+name]
	return Reason(number), ok && number != 0
}

// reasonOfCode returns the reason for a status without one, such as a status of gRPC
// itself.
func reasonOfCode(c codes.Code) Reason {
	switch c {
	case codes.Canceled:
		return faultv1.Reason_REASON_CANCELLED
	case codes.InvalidArgument, codes.OutOfRange:
		return faultv1.Reason_REASON_INVALID_ARGUMENT
	case codes.DeadlineExceeded:
		return faultv1.Reason_REASON_DEADLINE_EXCEEDED
	case codes.NotFound:
		return faultv1.Reason_REASON_NOT_FOUND
	case codes.AlreadyExists:
		return faultv1.Reason_REASON_ALREADY_EXISTS
	case codes.PermissionDenied:
		return faultv1.Reason_REASON_PERMISSION_DENIED
	case codes.ResourceExhausted:
		return faultv1.Reason_REASON_PAYLOAD_TOO_LARGE
	case codes.FailedPrecondition, codes.Aborted:
		return faultv1.Reason_REASON_CONFLICT
	case codes.Unimplemented:
		return faultv1.Reason_REASON_ROUTE_NOT_FOUND
	case codes.Unavailable:
		return faultv1.Reason_REASON_UNAVAILABLE
	case codes.Unauthenticated:
		return faultv1.Reason_REASON_UNAUTHENTICATED
	default:
		return faultv1.Reason_REASON_INTERNAL
	}
}
