package run

import "time"

// Config sets how a process executes its runs. A zero field has the default that its
// comment names.
type Config struct {
	// Flush is how long new events wait, so that they are stored together; 50 ms.
	Flush time.Duration
	// Lease is how long a process may own a run without renewing; 15 s.
	Lease time.Duration
	// Poll is how often a reader of another process's run reads the database when no
	// notification arrives; 1 s.
	Poll time.Duration
	// Deadline bounds a run; 10 min.
	Deadline time.Duration
	// Grace is how long runs may continue when the process stops; 5 s.
	Grace time.Duration
	// Block is how many event numbers of a run are reserved beyond its stored events;
	// 1024. Readers see no event past the reservation. A model of 1,000 tokens per
	// second uses a twentieth of a block between two writes, so a write that takes a
	// second does not delay it.
	Block int32
	// PerUser and PerOrganization are how many runs a user, in all organizations, and
	// an organization may have at once. 0 means no limit.
	PerUser, PerOrganization int32
	// Journal is a folder of this machine where processes write the events that their
	// readers have seen, in case the process is killed. When it is empty, the events of
	// the last Flush are lost with a killed process.
	Journal string
}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.Flush, 50 * time.Millisecond}, {&c.Lease, 15 * time.Second}, {&c.Poll, time.Second},
		{&c.Deadline, 10 * time.Minute}, {&c.Grace, 5 * time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if c.Block <= 0 {
		c.Block = 1024
	}
	return c
}

// limited reports whether the number of runs at once has a limit.
func (c Config) limited() bool { return c.PerUser > 0 || c.PerOrganization > 0 }

// renewal is how often leases are renewed and lost runs are looked for.
func (c Config) renewal() time.Duration { return c.Lease / 3 }
