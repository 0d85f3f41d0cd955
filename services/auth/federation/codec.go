package federation

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
)

// encodeIdentity returns an identity as the contract has it.
func encodeIdentity(i Identity) *authv1.Identity {
	out := &authv1.Identity{
		Id: i.ID, Provider: i.Provider, Issuer: i.Issuer, Subject: i.Subject, Email: i.Email, CreateTime: timestamppb.New(i.CreateTime),
	}
	if i.LastUsedTime != nil {
		out.LastUsedTime = timestamppb.New(*i.LastUsedTime)
	}
	return out
}

// encodeProvider returns a provider as the contract has it.
func encodeProvider(p OrganizationProvider) *authv1.IdentityProvider {
	return &authv1.IdentityProvider{
		Id: p.ID, DisplayName: p.DisplayName, Issuer: p.Issuer, ClientId: p.ClientID, Domains: p.Domains, Role: p.Role,
		CreateTime: timestamppb.New(p.CreateTime), UpdateTime: timestamppb.New(p.UpdateTime), Etag: p.Etag(),
	}
}

// decodeProvider returns the provider of a message, without its secret.
func decodeProvider(m *authv1.IdentityProvider) OrganizationProvider {
	p := OrganizationProvider{
		ID: m.GetId(), DisplayName: strings.TrimSpace(m.GetDisplayName()), Issuer: m.GetIssuer(), ClientID: m.GetClientId(), Role: m.GetRole(),
	}
	for _, domain := range m.GetDomains() {
		if domain = strings.ToLower(domain); !slices.Contains(p.Domains, domain) {
			p.Domains = append(p.Domains, domain)
		}
	}
	if p.Role == "" {
		p.Role = organization.RoleMember
	}
	return p
}
