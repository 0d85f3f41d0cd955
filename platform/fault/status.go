package fault

import (
	"errors"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// Domain is the ErrorInfo domain of every status that Gatehouse sends.
const Domain = "gatehouse"

// ToStatus returns f as a google.rpc.Status with ErrorInfo and, if f has violations or a
// time to wait, BadRequest and RetryInfo. The status does not contain the cause.
func ToStatus(f *Fault) *status.Status {
	st := status.New(SpecOf(f.reason).Code, f.detail)
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: f.Name(), Domain: Domain}}
	if len(f.violations) > 0 {
		bad := &errdetails.BadRequest{}
		for _, v := range f.violations {
			bad.FieldViolations = append(bad.FieldViolations,
				&errdetails.BadRequest_FieldViolation{Field: v.Field, Description: v.Message})
		}
		details = append(details, bad)
	}
	if f.retryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(f.retryAfter)})
	}
	withDetails, err := st.WithDetails(details...)
	if err != nil {
		return st
	}
	return withDetails
}

// FromStatus is the inverse of [ToStatus]. The reason of a status without ErrorInfo
// follows from its code. The message of such a status becomes the cause when it could
// contain internal details.
func FromStatus(st *status.Status) *Fault {
	if st.Code() == codes.OK {
		return nil
	}
	f := &Fault{reason: reasonOfCode(st.Code()), detail: st.Message()}
	ours := false
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			if r, ok := ParseName(d.GetReason()); ok && d.GetDomain() == Domain {
				f.reason, ours = r, true
			}
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				f.violations = append(f.violations, Violation{Field: v.GetField(), Message: v.GetDescription()})
			}
		case *errdetails.RetryInfo:
			f.retryAfter = d.GetRetryDelay().AsDuration()
		}
	}
	if !ours {
		f.concealForeign(st)
	}
	return f
}

// concealForeign replaces a text of gRPC or of a proxy, which may contain addresses, with
// a text of this package.
func (f *Fault) concealForeign(st *status.Status) {
	switch f.reason {
	case faultv1.Reason_REASON_INTERNAL:
		f.detail, f.cause = "an internal error occurred", errors.New(st.Message())
	case faultv1.Reason_REASON_UNAVAILABLE:
		f.detail, f.cause = "the service cannot be reached now", errors.New(st.Message())
		if f.retryAfter == 0 {
			f.retryAfter = time.Second
		}
	case faultv1.Reason_REASON_DEADLINE_EXCEEDED:
		f.detail, f.cause = "the answer was not ready in time", errors.New(st.Message())
	case faultv1.Reason_REASON_CANCELLED:
		f.detail, f.cause = "the request was cancelled", errors.New(st.Message())
	default:
	}
}

// grpcStatus finds a gRPC status in err's chain.
func grpcStatus(err error) (*status.Status, bool) {
	var carrier interface{ GRPCStatus() *status.Status }
	if errors.As(err, &carrier) {
		return carrier.GRPCStatus(), true
	}
	return nil, false
}
