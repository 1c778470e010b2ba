package metrics

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
)

// users ask a server for what each of them is used to.
func users(random *rand.Rand, server segue.ServerName, release segue.ReleaseName, shares []float64, requests int) judge.ServerEvidence {
	row := judge.ServerEvidence{Server: server, Release: release, Requests: int64(requests), Routes: map[string]int64{}}
	counts := make([]int64, len(shares))
	for range requests {
		at, route := random.Float64(), 0
		for at > shares[route] && route < len(shares)-1 {
			at -= shares[route]
			route++
		}
		counts[route]++
	}
	for route, n := range counts {
		row.Routes[fmt.Sprintf("GET /%d", route)] = n
	}
	return row
}

// wishes are what the users of one server ask for: with few users, each server has its own.
func wishes(random *rand.Rand, few int) []float64 {
	shares, sum := make([]float64, 10), 0.0
	for range few {
		shares[random.IntN(len(shares))]++
		sum++
	}
	for i := range shares {
		shares[i] = (shares[i] + 0.1) / (sum + 0.1*float64(len(shares)))
	}
	return shares
}

// TestUsersWhoStayAreNoOtherMix: where users stay with their server, servers differ by who is on them.
func TestUsersWhoStayAreNoOtherMix(t *testing.T) {
	t.Parallel()
	const rounds = 40
	wrong := 0
	for seed := range uint64(rounds) {
		random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // no secret
		m := newMix(nil)
		of := map[segue.ServerName][]float64{}
		for i := range 4 {
			of[serverOf(i)] = wishes(random, 20)
		}
		for range 60 {
			var rows []judge.ServerEvidence
			theirs := map[string]float64{}
			for i := range 4 {
				release := segue.ReleaseName("v1")
				if i == 0 {
					release = "v2"
				}
				rows = append(rows, users(random, serverOf(i), release, of[serverOf(i)], 500))
				if i > 0 {
					theirs = counted(theirs, rows[i].Routes)
				}
			}
			m.add(counted(nil, rows[0].Routes), theirs, rows, "v2")
		}
		if m.differs() {
			wrong++
		}
	}
	t.Logf("%d of %d", wrong, rounds)
	if wrong > rounds/8 {
		t.Errorf("another mix is seen in %d of %d fleets whose users stay", wrong, rounds)
	}
}

func serverOf(i int) segue.ServerName { return segue.ServerName(fmt.Sprintf("web-%d", i+1)) }

// TestAnotherMixIsSeen: servers that share users alike, and one that gets others.
func TestAnotherMixIsSeen(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 0)) //nolint:gosec // no secret
	m := newMix(nil)
	same, other := wishes(random, 1000), wishes(random, 3)
	for range 30 {
		rows := []judge.ServerEvidence{users(random, "a", "v2", other, 200), users(random, "b", "v1", same, 200), users(random, "c", "v1", same, 200)}
		m.add(counted(nil, rows[0].Routes), counted(counted(nil, rows[1].Routes), rows[2].Routes), rows, "v2")
	}
	if !m.differs() {
		t.Errorf("distance %.2f, limit %.2f, evidence %.0f", m.test.Distance(), m.limit(), m.test.LogE())
	}
}
