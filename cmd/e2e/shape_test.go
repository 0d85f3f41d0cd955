package e2e_test

// shape is a way to run the product.
type shape struct {
	name string
	// prepare are commands that are run to their end before the first start.
	prepare [][]string
	// parts are the processes, in no order: each waits for the others.
	parts []part
	// shipped says that the programs are those that are shipped, whatever the tests were
	// built with.
	shipped bool
}

// asShipped is the shape of programs that are shipped.
func (s shape) asShipped() shape {
	s.shipped = true
	return s
}

// from is the folder of the programs.
func (s shape) from() func() (string, error) {
	if s.shipped {
		return shipped
	}
	return binaries
}

// part is a process of a shape.
type part struct {
	name string
	// program is the name of the binary, when it differs from that of the part.
	program string
	args    []string
	// environment is added to that of every part; gateway is the address in it, if any.
	environment []string
	gateway     string
	// edge says that clients connect here; holder, that runs are executed here.
	servesClients, executesRuns bool
}

// shapes are the two that we ship.
func shapes() []shape {
	return []shape{
		{
			name:  "one process",
			parts: []part{{name: "gatehouse", args: []string{"serve"}, servesClients: true, executesRuns: true}},
		},
		{
			name:    "four processes",
			prepare: [][]string{{"gatehouse", "migrate"}},
			parts:   []part{{name: "auth"}, {name: "management"}, {name: "chat", executesRuns: true}, {name: "gateway", servesClients: true}},
		},
	}
}

// names are the parts that a condition holds for.
func (s shape) names(holds func(part) bool) []string {
	var out []string
	for _, p := range s.parts {
		if holds(p) {
			out = append(out, p.name)
		}
	}
	return out
}

func everyPart(part) bool { return true }

func clientPart(p part) bool { return p.servesClients }

// databasePart holds for all but a gateway by itself.
func databasePart(p part) bool { return !p.servesClients || p.executesRuns }

func runsPart(p part) bool { return p.executesRuns }
