package federation

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/fault"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/organization"
)

const (
	// maxProviders bounds how many providers an organization has.
	maxProviders = 10
	// sealing is what the box of clients' secrets is derived for.
	sealing = "gatehouse/auth/identity-provider"
)

// OrganizationProvider is an issuer by which people come into an organization.
type OrganizationProvider struct {
	OrganizationID, ID     string
	DisplayName            string
	Issuer, ClientID       string
	Domains                []string
	Role                   string
	Revision               int64
	CreateTime, UpdateTime time.Time
	// sealed is the client's secret, sealed for the row.
	sealed []byte
}

// Etag changes with each update.
func (p OrganizationProvider) Etag() string { return strconv.FormatInt(p.Revision, 10) }

// decodeProvider takes a provider over from the contract's shape, but for its secret.
func decodeProvider(m *authv1.IdentityProvider) OrganizationProvider {
	p := OrganizationProvider{
		ID: m.GetId(), DisplayName: strings.TrimSpace(m.GetDisplayName()), Issuer: m.GetIssuer(), ClientID: m.GetClientId(), Role: m.GetRole(),
	}
	for _, domain := range m.GetDomains() {
		p.Domains = append(p.Domains, strings.ToLower(domain))
	}
	if p.Role == "" {
		p.Role = organization.RoleMember
	}
	return p
}

func (p OrganizationProvider) message() *authv1.IdentityProvider {
	return &authv1.IdentityProvider{
		Id: p.ID, DisplayName: p.DisplayName, Issuer: p.Issuer, ClientId: p.ClientID, Domains: p.Domains, Role: p.Role,
		CreateTime: timestamppb.New(p.CreateTime), UpdateTime: timestamppb.New(p.UpdateTime), Etag: p.Etag(),
	}
}

// Validate checks what the contract cannot say, for a new secret or the one that is
// kept.
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

// CheckEtag refuses a change that builds on another state than the present one. An
// empty etag builds on whatever stands.
func (p OrganizationProvider) CheckEtag(etag string) error {
	if etag != "" && etag != p.Etag() {
		return fault.New(faultv1.Reason_REASON_ETAG_MISMATCH, "the identity provider changed since it was read")
	}
	return nil
}

// Apply returns p with the fields of the mask taken from the patch. Another issuer
// takes another secret: the one that is kept is for the present one alone.
func (p OrganizationProvider) Apply(patch OrganizationProvider, mask []string) (OrganizationProvider, error) {
	before := p
	for _, path := range mask {
		switch path {
		case "display_name":
			p.DisplayName = patch.DisplayName
		case "issuer":
			p.Issuer = patch.Issuer
		case "client_id":
			p.ClientID = patch.ClientID
		case "client_secret":
		case "domains":
			p.Domains = patch.Domains
		case "role":
			p.Role = patch.Role
		default:
			return p, fault.Invalid("updateMask", "%q is not a field that can be changed", path)
		}
	}
	if (p.Issuer != before.Issuer || p.ClientID != before.ClientID) && !slices.Contains(mask, "client_secret") {
		return p, fault.Invalid("identityProvider.clientSecret", "must be given with another issuer or client id")
	}
	return p, p.Validate()
}

// changes lists the fields of the mask for the audit trail; of the secret only that it
// changed.
func (p OrganizationProvider) changes(after OrganizationProvider, mask []string) map[string]audit.Change {
	out := map[string]audit.Change{}
	for _, path := range mask {
		switch path {
		case "display_name":
			out[path] = audit.Change{Before: p.DisplayName, After: after.DisplayName}
		case "issuer":
			out[path] = audit.Change{Before: p.Issuer, After: after.Issuer}
		case "client_id":
			out[path] = audit.Change{Before: p.ClientID, After: after.ClientID}
		case "domains":
			out[path] = audit.Change{Before: p.Domains, After: after.Domains}
		case "role":
			out[path] = audit.Change{Before: p.Role, After: after.Role}
		default:
			out[path] = audit.Change{}
		}
	}
	return out
}
