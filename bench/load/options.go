package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// options are the counts of a run.
type options struct {
	// root is the repository, whose binary is built.
	root string
	// stripped builds as a release is built; tests do without, to reuse what
	// other builds left in the cache.
	stripped bool
	// only names the one part to measure; empty means all.
	only string
	// profiles is where profiles of the product go; empty means nowhere.
	profiles string

	// starts is how many warm starts the median is taken of.
	starts int
	// settle is how long the product is left alone before its memory is read.
	settle time.Duration

	// rounds of requests go to the product and the floor in turn.
	rounds, requests, clients int

	// verifications are how many tokens are verified for the mean; earlyTokens and
	// lateTokens those between which memory is compared.
	verifications, earlyTokens, lateTokens int
	// chains are sessions that are refreshed at once, each refreshes times.
	chains, refreshes int
	// signIns are made at once, signInRounds times, beside readers.
	signIns, signInRounds, readers int
	// tries are the wrong passwords tried at known and at unknown addresses, each.
	tries int

	// single is how many answers one reader follows one after the other.
	single int
	// many readers follow answers of tokens tokens each, at full speed.
	many, answers, tokens int
	// crowd readers follow one paced answer each, all at once.
	crowd int

	// early and late are the numbers of responses whose memory is compared.
	early, late int
}

// full is the run that docs/performance.md shows.
func full() options {
	return options{
		root: "..", stripped: true,
		starts: 5, settle: 5 * time.Second,
		rounds: 7, requests: 4000, clients: 16,
		verifications: 20_000, earlyTokens: 10_000, lateTokens: 1_000_000,
		chains: 64, refreshes: 150,
		signIns: 64, signInRounds: 10, readers: 4,
		tries:  1000,
		single: 40,
		many:   50, answers: 8, tokens: 400,
		crowd: 500,
		early: 200, late: 2000,
	}
}

// small is a run of the same shape in a few seconds.
func (o options) small() options {
	o.starts, o.settle = 1, 500*time.Millisecond
	o.rounds, o.requests, o.clients = 1, 64, 4
	o.verifications, o.earlyTokens, o.lateTokens = 100, 100, 200
	o.chains, o.refreshes = 4, 3
	o.signIns, o.signInRounds, o.readers = 3, 1, 2
	o.tries = 5
	o.single = 3
	o.many, o.answers, o.tokens = 4, 1, 20
	o.crowd = 8
	o.early, o.late = 4, 8
	return o
}

func (o options) validate() error {
	if names := partNames(); o.only != "" && !slices.Contains(names, o.only) {
		return fmt.Errorf("-only %s: there are %s", o.only, strings.Join(names, ", "))
	}
	return nil
}
