package export

import (
	"context"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
)

// The methods in this file call auth with the caller's credential. Their errors are
// statuses, which fault.From converts.

func (x *exporter) account(ctx context.Context) error {
	me, err := authv1.NewAccountServiceClient(x.service.deps.Auth).GetMe(ctx, &authv1.GetMeRequest{})
	if err != nil {
		return err
	}
	return x.send(&chatv1.ExportRecord{Record: &chatv1.ExportRecord_Account{Account: me}})
}

func (x *exporter) organizations(ctx context.Context) error {
	client := authv1.NewOrganizationServiceClient(x.service.deps.Auth)
	return pages(func(token string) (string, error) {
		page, err := client.ListOrganizations(ctx, &authv1.ListOrganizationsRequest{PageSize: pageSize, PageToken: token})
		for _, o := range page.GetOrganizations() {
			if o.GetState() == authv1.Organization_ACTIVE {
				x.active = append(x.active, o.GetId())
			}
			if err := x.send(&chatv1.ExportRecord{Record: &chatv1.ExportRecord_Organization{Organization: o}}); err != nil {
				return "", err
			}
		}
		return page.GetNextPageToken(), err
	})
}

func (x *exporter) sessions(ctx context.Context) error {
	client := authv1.NewUserSessionServiceClient(x.service.deps.Auth)
	return pages(func(token string) (string, error) {
		page, err := client.ListUserSessions(ctx, &authv1.ListUserSessionsRequest{PageSize: pageSize, PageToken: token})
		for _, session := range page.GetSessions() {
			if err := x.send(&chatv1.ExportRecord{Record: &chatv1.ExportRecord_Session{Session: session}}); err != nil {
				return "", err
			}
		}
		return page.GetNextPageToken(), err
	})
}

func (x *exporter) keys(ctx context.Context) error {
	client := authv1.NewApiKeyServiceClient(x.service.deps.Auth)
	return pages(func(token string) (string, error) {
		page, err := client.ListApiKeys(ctx, &authv1.ListApiKeysRequest{PageSize: pageSize, PageToken: token})
		for _, key := range page.GetApiKeys() {
			if err := x.send(&chatv1.ExportRecord{Record: &chatv1.ExportRecord_ApiKey{ApiKey: key}}); err != nil {
				return "", err
			}
		}
		return page.GetNextPageToken(), err
	})
}

func (x *exporter) passkeys(ctx context.Context) error {
	client := authv1.NewPasskeyServiceClient(x.service.deps.Auth)
	return pages(func(token string) (string, error) {
		page, err := client.ListPasskeys(ctx, &authv1.ListPasskeysRequest{PageSize: pageSize, PageToken: token})
		for _, passkey := range page.GetPasskeys() {
			if err := x.send(&chatv1.ExportRecord{Record: &chatv1.ExportRecord_Passkey{Passkey: passkey}}); err != nil {
				return "", err
			}
		}
		return page.GetNextPageToken(), err
	})
}

func (x *exporter) grants(ctx context.Context) error {
	client := authv1.NewGrantServiceClient(x.service.deps.Auth)
	return pages(func(token string) (string, error) {
		page, err := client.ListGrants(ctx, &authv1.ListGrantsRequest{PageSize: pageSize, PageToken: token})
		for _, grant := range page.GetGrants() {
			if err := x.send(&chatv1.ExportRecord{Record: &chatv1.ExportRecord_Grant{Grant: grant}}); err != nil {
				return "", err
			}
		}
		return page.GetNextPageToken(), err
	})
}

func (x *exporter) identities(ctx context.Context) error {
	client := authv1.NewIdentityServiceClient(x.service.deps.Auth)
	return pages(func(token string) (string, error) {
		page, err := client.ListIdentities(ctx, &authv1.ListIdentitiesRequest{PageSize: pageSize, PageToken: token})
		for _, identity := range page.GetIdentities() {
			if err := x.send(&chatv1.ExportRecord{Record: &chatv1.ExportRecord_Identity{Identity: identity}}); err != nil {
				return "", err
			}
		}
		return page.GetNextPageToken(), err
	})
}
