package gate

import (
	"context"
	"fmt"
	"time"

	"github.com/segue-deploy/segue/internal/migration"
)

// Listen gives the statements that the server and its replicas were sent since a time. What one of them does not tell is said, and is no error.
func (k *Gatekeeper) Listen(ctx context.Context, releases []migration.Presence, since time.Time) (heard migration.Statements, err error) {
	now := time.Now()
	statistics, err := ReadStatistics(ctx, k.config.Server.Pool(), Snapshot{}, releases, now)
	if err != nil {
		return heard, err
	}
	known := map[[2]string]int{}
	take := func(prefix string, statistics Statistics) {
		if statistics.Missing != "" {
			heard.Unheard = append(heard.Unheard, prefix+statistics.Missing)
		}
		for _, query := range statistics.Queries {
			key := [2]string{query.SQL, query.Role}
			at, ok := known[key]
			switch {
			case query.Seen.Before(since):
			case ok:
				heard.Queries[at].Calls += query.Calls
			default:
				known[key] = len(heard.Queries)
				heard.Queries = append(heard.Queries, query)
			}
		}
	}
	take("", statistics)
	for i, url := range k.config.Replicas {
		name := replicaName(i)
		statistics, err := readReplica(ctx, url, Snapshot{}, releases, now)
		switch {
		case err != nil && ctx.Err() != nil:
			return heard, err
		case err != nil:
			heard.Unheard = append(heard.Unheard, fmt.Sprintf("%s does not answer: %v", name, err))
		default:
			take(name+": ", statistics)
		}
	}
	return heard, nil
}

func replicaName(i int) string { return fmt.Sprintf("replica %d", i+1) }
