package freeport_test

import (
	"testing"

	"github.com/gatehouse/gatehouse/platform/freeport"
)

// Of five hundred ports that are drawn from twenty thousand, some six would come twice.
func TestNoAddressIsGivenTwice(t *testing.T) {
	t.Parallel()
	given := map[string]bool{}
	for range 500 {
		address, err := freeport.Address(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if given[address] {
			t.Errorf("%s is given twice", address)
		}
		given[address] = true
	}
}
