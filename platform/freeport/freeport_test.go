package freeport_test

import (
	"testing"

	"github.com/gatehouse/gatehouse/platform/freeport"
)

// Among five hundred random ports of twenty thousand, about six would appear twice.
func TestAddress_ManyCalls_ReturnDistinctAddresses(t *testing.T) {
	t.Parallel()
	given := map[string]bool{}
	for range 500 {
		address, err := freeport.Address(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if given[address] {
			t.Errorf("%s is returned twice", address)
		}
		given[address] = true
	}
}
