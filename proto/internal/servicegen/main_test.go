package main

import (
	"go/format"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/proto/catalog"
)

func TestFiles_ListEveryPublicService(t *testing.T) {
	t.Parallel()
	services, err := publicServices()
	if err != nil {
		t.Fatal(err)
	}
	gateway, err := format.Source(gatewayFile(services))
	if err != nil {
		t.Fatal(err)
	}
	client := string(clientFile(services))
	var names []string
	for _, m := range catalog.Methods() {
		name := string(m.Descriptor.Parent().Name())
		names = append(names, name)
		if listed := strings.Contains(string(gateway), "."+name+"_ServiceDesc"); listed != m.Public {
			t.Errorf("%s: in the gateway's file %t, public %t", m.FullMethod, listed, m.Public)
		}
		if listed := strings.Contains(client, "{ "+name+" }"); listed != m.Public {
			t.Errorf("%s: in the client's file %t, public %t", m.FullMethod, listed, m.Public)
		}
	}
	if got, want := len(services), len(catalog.PublicServices()); got != want {
		t.Errorf("%d services of %d, of the RPCs of %v", got, want, slices.Compact(names))
	}
}

func TestFiles_AreDeterministic(t *testing.T) {
	t.Parallel()
	one, err := publicServices()
	if err != nil {
		t.Fatal(err)
	}
	another, err := publicServices()
	if err != nil {
		t.Fatal(err)
	}
	if string(gatewayFile(one)) != string(gatewayFile(another)) || string(clientFile(one)) != string(clientFile(another)) {
		t.Error("two runs differ")
	}
}

func TestBackend_KnowledgeIsServedByChat(t *testing.T) {
	t.Parallel()
	for area, want := range map[string]string{"auth": "auth", "management": "management", "chat": "chat", "knowledge": "chat"} {
		if got := (service{area: area}).backend(); got != want {
			t.Errorf("%s: %s, want %s", area, got, want)
		}
	}
}
