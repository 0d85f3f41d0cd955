package e2e_test

import "testing"

// shared are the scenarios that leave an installation as they found it, but for
// what their own users did. They run at the same time, on one installation.
var shared = map[string]func(*testing.T, *installation){
	"a cited answer streams and resumes from every position": citedAnswer,
	"two readers see the same bytes":                         twoReaders,
	"the reader goes away and the run goes on":               readerDisconnects,
	"a position past the end, or none at all, is refused":    badPositions,
	"a ticket opens a stream once, and is in no log":         ticket,
	"cancel keeps what was written":                          cancelled,
	"a question that the documents do not answer":            noAnswer,
	"problems name what is wrong":                            problems,
	"documents that cannot be read say why":                  badDocuments,
	"refresh is raced and one wins":                          racedRefresh,
	"a session that ends loses its tokens and streams":       revoked,
	"the signing key is rotated under load":                  rotated,
	"a user that is disabled loses its stream":               disabled,
	"a member that is demoted loses its rights":              demoted,
	"a model that fails":                                     modelFaults,
	"operators see how it is":                                operations,
	"one trace goes through all parts":                       oneTrace,
	"a foreign gRPC client on the public port":               foreignClient,
	"letters confirm an address and reset a password":        emailFlows,
	"the README's tour works as printed":                     readmeTour,
	"an organization lives as its page prints":               organizationsPage,
	"an OAuth client acts as its page prints":                oauthPage,
}

// exclusive are the scenarios that hurt an installation, and so have their own.
var exclusive = map[string]func(*testing.T, shape){
	"kill -9 in mid-stream":                    processKilled,
	"Postgres stops and starts under load":     databaseRestart,
	"all stops under 20 streams":               stopAll,
	"the runs' process stops under 20 streams": stopHolder,
	"the gateway stops under 20 streams":       stopEdge,
}

func TestEndToEnd(t *testing.T) {
	t.Parallel()
	for _, s := range shapes() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for name, scenario := range exclusive {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					scenario(t, s)
				})
			}
			i := start(t, s)
			for name, scenario := range shared {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					scenario(t, i)
				})
			}
		})
	}
}
