package auth_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/migrations"
)

// barrier stops transactions before they commit: those that write an audit row of an
// action, which is what they do last.
type barrier struct {
	db   *postgres.DB
	open func()
}

func newBarrier(t *testing.T, d *pgtest.Database, action string) *barrier {
	t.Helper()
	d.AdminExec(t, `CREATE FUNCTION public.barrier() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NEW; END $$`)
	d.AdminExec(t, `CREATE TRIGGER barrier BEFORE INSERT ON audit.events FOR EACH ROW WHEN (NEW.action = '`+action+`')
		EXECUTE FUNCTION public.barrier()`)
	b := &barrier{db: d.Open(t, migrations.Role)}
	closed, opened, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- b.db.InTx(t.Context(), postgres.Scope{}, func(ctx context.Context, tx pgx.Tx) error {
			_, err := postgres.TxExec(ctx, tx, "SELECT pg_advisory_xact_lock(7)")
			close(closed)
			<-opened
			return err
		})
	}()
	<-closed
	b.open = func() {
		close(opened)
		must(t, <-done)
	}
	return b
}

// wait waits until n transactions wait for a lock, or something is done.
func (b *barrier) wait(t *testing.T, n int, done <-chan struct{}) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		waiting, err := postgres.QueryOne(t.Context(), b.db, postgres.Scope{}, pgx.RowTo[int],
			"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
		must(t, err)
		if waiting >= n {
			return
		}
		select {
		case <-done:
			return
		case <-ticker.C:
		}
	}
}

// raceWith makes a call whose transaction stops where it records an action, before it
// commits, and another one beside it, which answers at once or waits for the first.
func raceWith[T any](t *testing.T, b *bundle, action string, first func() error, second func() (T, error)) (T, error) {
	t.Helper()
	stop := newBarrier(t, b.database, action)
	one, other := make(chan struct{}), make(chan struct{})
	var errFirst, errSecond error
	var out T
	go func() {
		defer close(one)
		errFirst = first()
	}()
	stop.wait(t, 1, one)
	go func() {
		defer close(other)
		out, errSecond = second()
	}()
	stop.wait(t, 2, other)
	stop.open()
	<-one
	<-other
	must(t, errFirst)
	return out, errSecond
}

// change is something that takes from somebody, with the action that it records.
type change[T any] struct {
	action string
	make   func(ctx context.Context, of T) error
}

func changesOfRights() map[string]change[*rightsRace] {
	return map[string]change[*rightsRace]{
		"demoted": {"auth.member.updated", func(ctx context.Context, r *rightsRace) error {
			return r.updateMember(with(ctx, r.owner), r.organizationID, r.user.UserID, "viewer")
		}},
		"removed": {"auth.member.removed", func(ctx context.Context, r *rightsRace) error {
			return r.removeMember(with(ctx, r.owner), r.organizationID, r.user.UserID)
		}},
		"role changed": {"auth.role.updated", func(ctx context.Context, r *rightsRace) error {
			_, err := r.updateRole(with(ctx, r.owner), r.organizationID, &authv1.Role{Id: r.role.GetId(), Permissions: []string{"chat.read"}}, "permissions")
			return err
		}},
		"role deleted": {"auth.role.deleted", func(ctx context.Context, r *rightsRace) error {
			return r.deleteRole(with(ctx, r.owner), r.organizationID, r.role.GetId(), true)
		}},
		"organization deleted": {"auth.organization.deleted", func(ctx context.Context, r *rightsRace) error {
			_, err := r.organizations.DeleteOrganization(with(ctx, r.owner), &authv1.DeleteOrganizationRequest{Id: r.organizationID})
			return err
		}},
		"disabled": {"auth.user.disabled", func(ctx context.Context, r *rightsRace) error {
			return r.service.DisableUser(ctx, r.user.email, true)
		}},
		"no operator any more": {"auth.user.operator_taken", func(ctx context.Context, r *rightsRace) error {
			return r.service.GrantOperator(ctx, r.user.email, false)
		}},
	}
}

// rightsRace is a member of an organization, by a custom role, and an operator.
type rightsRace struct {
	*bundle
	owner          *authv1.TokenResponse
	organizationID string
	role           *authv1.Role
	user           struct {
		*identity.Principal
		email string
	}
	home, member *authv1.TokenResponse
}

func setupRightsRace(t *testing.T) *rightsRace {
	t.Helper()
	r := &rightsRace{bundle: setup(t)}
	ada, _ := r.signUp(t, "ada@example.org")
	made, err := r.organizations.CreateOrganization(with(t.Context(), ada), &authv1.CreateOrganizationRequest{
		Organization: &authv1.Organization{DisplayName: "Library"},
	})
	must(t, err)
	r.organizationID = made.GetId()
	r.owner, err = r.sessions.SwitchOrganization(with(t.Context(), ada), &authv1.SwitchOrganizationRequest{OrganizationId: r.organizationID})
	must(t, err)
	r.role = r.createRole(t, r.owner, "Librarian", "knowledge.write")
	r.user.email = "bob@example.org"
	r.join(t, r.operator(t), r.organizationID, r.user.email, r.role.GetId())
	must(t, r.service.GrantOperator(t.Context(), r.user.email, true))
	r.home = r.signIn(t, r.user.email)
	r.member, err = r.switchTo(t.Context())
	must(t, err)
	r.user.Principal = r.principal(t, r.member)
	return r
}

func (r *rightsRace) switchTo(ctx context.Context) (*authv1.TokenResponse, error) {
	return r.sessions.SwitchOrganization(with(ctx, r.home), &authv1.SwitchOrganizationRequest{OrganizationId: r.organizationID})
}

// rightsOf is what a token says of its holder's rights.
func rightsOf(p *identity.Principal) []string { return slices.Concat(p.Roles, p.Permissions) }

// wantNewRights fails where a token that was issued beside a change says what was right
// before, and nothing takes its force.
func (r *rightsRace) wantNewRights(t *testing.T, tokens *authv1.TokenResponse, since time.Time) {
	t.Helper()
	p := r.principal(t, tokens)
	if !slices.Equal(rightsOf(p), rightsOf(r.user.Principal)) {
		return
	}
	found, err := r.service.Revocations(t.Context(), since)
	must(t, err)
	for _, f := range found {
		concerns := f.UserID == p.UserID || f.UserID == "" && f.OrganizationID == p.OrganizationID
		if concerns && !p.IssueTime.After(f.Time) || f.SessionID == p.SessionID {
			return
		}
	}
	t.Errorf("a token of %s says %v, and was revoked at %+v", p.IssueTime, rightsOf(p), found)
}

// S22: a token that is issued while a change of rights commits either says what is
// right after it, or loses its force by it.
func TestS22NoTokenOutrunsAChangeOfRights(t *testing.T) {
	t.Parallel()
	for name, c := range changesOfRights() {
		t.Run(name+" before", func(t *testing.T) {
			t.Parallel()
			r, since := setupRightsRace(t), clock.System().Now()
			issued, err := raceWith(t, r.bundle, c.action, func() error { return c.make(t.Context(), r) },
				func() (*authv1.TokenResponse, error) {
					return r.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: r.member.GetRefreshToken()})
				})
			if err == nil { // who is none any more gets no token
				r.wantNewRights(t, issued, since)
			}
		})
		t.Run(name+" after", func(t *testing.T) {
			t.Parallel()
			r, since := setupRightsRace(t), clock.System().Now()
			var issued *authv1.TokenResponse
			_, err := raceWith(t, r.bundle, "auth.session.created", func() (err error) {
				issued, err = r.switchTo(t.Context())
				return err
			}, func() (struct{}, error) { return struct{}{}, c.make(t.Context(), r) })
			must(t, err)
			r.wantNewRights(t, issued, since)
		})
	}
}

// S15: who knows the old password signs in no more once there is a new one, not even
// beside the change, nor by half a sign-in from before.
func TestS15NoSignInOutrunsANewPassword(t *testing.T) {
	t.Parallel()
	change := func(b *bundle, tokens *authv1.TokenResponse) error {
		_, err := b.accounts.ChangePassword(with(t.Context(), tokens), &authv1.ChangePasswordRequest{
			CurrentPassword: password, NewPassword: "another staple entirely",
		})
		return err
	}
	signIn := func(b *bundle) func() (*authv1.TokenResponse, error) {
		return func() (*authv1.TokenResponse, error) {
			return b.sessions.SignIn(t.Context(), &authv1.SignInRequest{Email: "ada@example.org", Password: password})
		}
	}
	t.Run("with the password alone", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		tokens, _ := b.signUp(t, "ada@example.org")
		_, err := raceWith(t, b, "auth.user.password_changed", func() error { return change(b, tokens) }, signIn(b))
		wantReason(t, err, faultv1.Reason_REASON_INVALID_CREDENTIALS)
	})
	t.Run("with a second factor", func(t *testing.T) {
		t.Parallel()
		h := setupFactorUser(t)
		_, err := raceWith(t, h.bundle, "auth.user.password_changed", func() error { return change(h.bundle, h.tokens) }, signIn(h.bundle))
		wantReason(t, err, faultv1.Reason_REASON_INVALID_CREDENTIALS)
	})
	t.Run("half a sign-in", func(t *testing.T) {
		t.Parallel()
		h := setupFactorUser(t)
		challenge := h.challenge(t)
		must(t, change(h.bundle, h.tokens))
		h.clock.Advance(step)
		h.wantRefused(t, challenge, h.code(t, 0))
	})
}

// When two owners demote each other at once, one succeeds. The other gets a conflict,
// because its own roles have changed, and not a refusal for lack of rights.
func TestTheLoserOfTwoDemotionsMeetsAConflict(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, adas := b.signUp(t, "ada@example.org")
	org := adas.OrganizationID
	bob := b.join(t, b.operator(t), org, "bob@example.org", "owner")
	bobs := b.principal(t, bob)
	_, err := raceWith(t, b, "auth.member.updated",
		func() error { return b.updateMember(with(t.Context(), ada), org, bobs.UserID, "viewer") },
		func() (struct{}, error) {
			return struct{}{}, b.updateMember(with(t.Context(), bob), org, adas.UserID, "viewer")
		})
	wantReason(t, err, faultv1.Reason_REASON_CONFLICT)
	owners := adminText(t, b, "SELECT string_agg(user_id::text, ' ') FROM auth.memberships WHERE organization_id = $1 AND 'owner' = ANY (roles)", org)
	if owners != adas.UserID {
		t.Errorf("the owners are %s, want the one who was first", owners)
	}
	// After a new sign-in, the demoted owner is refused for lack of rights.
	again, err := b.switchTo(t, b.signIn(t, "bob@example.org"), org)
	must(t, err)
	wantReason(t, b.updateMember(with(t.Context(), again), org, adas.UserID, "viewer"), faultv1.Reason_REASON_PERMISSION_DENIED)
}
