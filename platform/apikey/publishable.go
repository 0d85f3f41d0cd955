package apikey

import (
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// PublishablePrefix is the prefix of every publishable key.
const PublishablePrefix = "pk_"

// NewPublishable returns a new publishable key.
func NewPublishable() string { return generate(PublishablePrefix) }

// OriginNotAllowed returns the fault for a page whose origin the key does not list.
func OriginNotAllowed() error {
	return fault.New(faultv1.Reason_REASON_ORIGIN_NOT_ALLOWED, "the key does not list the origin of this page")
}

// Publishable is the owner of a publishable key.
type Publishable struct{ ID, OrganizationID string }
