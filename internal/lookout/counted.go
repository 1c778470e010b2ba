package lookout

import (
	"slices"

	"github.com/segue-deploy/segue/internal/judge"
)

// Counted gives what the balancer counted of each minute that is remembered, oldest first; no logs.
func (l *Lookout) Counted() []judge.Evidence {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.minutes)
}
