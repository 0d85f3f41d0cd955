package postgres_test

import (
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/platform/postgres"
)

func TestS94PlaintextIsFoundInEveryFormOfConnectionString(t *testing.T) {
	t.Parallel()
	for connString, plain := range map[string]bool{
		"postgres://u:p@db.example.com/g":                                   true, // prefer falls back
		"postgres://u:p@db.example.com/g?sslmode=disable":                   true,
		"postgres://u:p@db.example.com/g?sslmode=allow":                     true,
		"postgresql://u:p@db.example.com/g?sslmode=prefer":                  true,
		"host=db.example.com user=u sslmode=disable":                        true,
		"host=10.0.0.7 user=u":                                              true,
		"postgres://u@/g?host=db.example.com":                               true,
		"postgres://u:p@127.0.0.1,db.example.com/g":                         true,
		"host=/run/postgresql,db.example.com sslmode=disable":               true,
		"postgres://u:p@localhost.example.com/g":                            true,
		"postgres://u:p@127.0.0.1.example.com/g":                            true,
		"postgres://u:p@db.example.com/g?sslmode=require":                   false,
		"host=db.example.com sslmode=verify-full":                           false,
		"postgres://u:p@localhost/g":                                        false,
		"postgres://u:p@127.0.0.7/g":                                        false,
		"postgres://u:p@[::1]/g":                                            false,
		"postgres://u@/g?host=/run/postgresql":                              false,
		"host=/run/postgresql user=u sslmode=disable":                       false,
		"postgres://u:p@a.example.com,b.example.com/g?sslmode=verify-ca":    false,
		"user=u host=db.example.com sslmode = 'require' application_name=x": false,
	} {
		if got, err := postgres.Plaintext(connString); err != nil || got != plain {
			t.Errorf("%s: %t, %v; want %t", connString, got, err, plain)
		}
	}
	if _, err := postgres.Plaintext("postgres://u:hunter2@db:port/g"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("an unreadable URL: %v", err)
	}
}
