package federation

import (
	"slices"
	"strconv"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/patch"
)

const (
	// maxProviders is the number of providers that an organization may have.
	maxProviders = 10
	// kindProvider is the name of an organization's provider in faults.
	kindProvider = "identity provider"
	// sealing is the purpose for which the key of client secrets is derived.
	sealing = "gatehouse/auth/identity-provider"
)

// OrganizationProvider is an issuer with which users join an organization.
type OrganizationProvider struct {
	OrganizationID   string
	ID               string `db:"id"`
	DisplayName      string
	Issuer, ClientID string
	Domains          []string
	Role             string
	Revision         int64
	CreateTime       time.Time `db:"created_at"`
	UpdateTime       time.Time
	// sealed is the client secret, sealed for its row.
	sealed []byte
}

// Etag changes with each update.
func (p OrganizationProvider) Etag() string { return strconv.FormatInt(p.Revision, 10) }

// Validate checks what the contract cannot express.
func (p OrganizationProvider) Validate() error {
	if p.DisplayName == "" {
		return fault.Invalid("identityProvider.displayName", "must not be empty")
	}
	if err := checkURL(p.Issuer); err != nil {
		return fault.Invalid("identityProvider.issuer", "%s", err)
	}
	if p.ClientID == "" {
		return fault.Invalid("identityProvider.clientId", "must not be empty")
	}
	if len(p.Domains) == 0 {
		return fault.Invalid("identityProvider.domains", "must name at least one")
	}
	return nil
}

// fieldSecret is a field that is written and never returned.
const fieldSecret = "client_secret"

// fields are the other fields that clients can change, by their names in the contract.
var fields = patch.Fields[OrganizationProvider]{ //nolint:gochecknoglobals // a constant table
	"display_name": patch.At(func(p *OrganizationProvider) *string { return &p.DisplayName }),
	"issuer":       patch.At(func(p *OrganizationProvider) *string { return &p.Issuer }),
	"client_id":    patch.At(func(p *OrganizationProvider) *string { return &p.ClientID }),
	"domains":      patch.At(func(p *OrganizationProvider) *[]string { return &p.Domains }),
	"role":         patch.At(func(p *OrganizationProvider) *string { return &p.Role }),
}

// Apply returns p with the fields of the mask set from the patch, and whether the mask
// names the secret. A new issuer or client id needs a new secret, because the stored
// one must not be sent to another issuer.
func (p OrganizationProvider) Apply(patch OrganizationProvider, mask []string) (after OrganizationProvider, secret bool, err error) {
	secret = slices.Contains(mask, fieldSecret)
	after, err = fields.Apply(p, patch, slices.DeleteFunc(slices.Clone(mask), func(path string) bool { return path == fieldSecret }))
	if err != nil {
		return p, secret, err
	}
	if (after.Issuer != p.Issuer || after.ClientID != p.ClientID) && !secret {
		return p, secret, fault.Invalid("identityProvider.clientSecret", "must be given with another issuer or client id")
	}
	return after, secret, after.Validate()
}
