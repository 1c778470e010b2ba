package rollout

import (
	"time"

	"github.com/segue-deploy/segue"
)

// DatabaseLedger is what the journal tells of a database's work outside of rollouts. What was done to the database stands in the database itself.
type DatabaseLedger struct {
	// Preparing is the work ahead of a release; nil when none was ordered, or it was given up.
	Preparing *Preparation `json:"preparing,omitempty"`
}

// Preparation is the long work that was ordered for a release before its deploy.
type Preparation struct {
	Service segue.ServiceName `json:"service"`
	Release segue.ReleaseName `json:"release"`
	// Config names the stored configuration that has the migrations.
	Config  segue.Digest   `json:"config"`
	By      string         `json:"by,omitempty"`
	Since   time.Time      `json:"since"`
	Paused  bool           `json:"paused,omitempty"`
	Done    bool           `json:"done,omitempty"`
	Failure *segue.Failure `json:"failure,omitempty"`
}

// Going says whether somebody should be working on it.
func (p *Preparation) Going() bool { return p != nil && !p.Paused && !p.Done && p.Failure == nil }

// database folds what happened to a database outside of rollouts.
func (l *Ledger) database(entry segue.Entry) {
	event := entry.Event
	if event.Work == nil {
		return
	}
	for _, barred := range event.Work.Barred {
		l.bar(barred)
	}
	if event.Database == "" {
		return
	}
	if l.Databases == nil {
		l.Databases = map[segue.DatabaseName]DatabaseLedger{}
	}
	known := l.Databases[event.Database]
	known.Preparing = prepared(known.Preparing, entry)
	l.Databases[event.Database] = known
}

// prepared folds one event into the work ahead of a release. What it gives is new: readers elsewhere keep what they have.
func prepared(before *Preparation, entry segue.Entry) *Preparation {
	event, work := entry.Event, entry.Event.Work
	if work.Verb == segue.DatabasePrepare {
		return &Preparation{Service: event.Service, Release: work.Release, Config: work.Config, By: work.By, Since: entry.At}
	}
	if before == nil {
		return nil
	}
	after := *before
	switch work.Verb {
	case segue.DatabasePause:
		after.Paused = true
	case segue.DatabaseResume:
		after.Paused, after.Failure = false, nil
	case segue.DatabaseCancel:
		return nil
	case segue.DatabasePrepared:
		after.Done = after.Release == work.Release
	case segue.DatabaseFailed:
		if after.Release == work.Release {
			after.Failure = work.Failure
		}
	default:
	}
	return &after
}

// bar notes that a release cannot come back: it is not offered any more.
func (l *Ledger) bar(barred segue.Barred) {
	service, ok := l.Services[barred.Service]
	if !ok {
		return
	}
	if service.Barred == nil {
		service.Barred = map[segue.ReleaseName]string{}
	}
	service.Barred[barred.Release] = barred.Why
	if service.Previous.Name == barred.Release {
		service.Previous, service.PreviousUntil = segue.Release{}, time.Time{}
	}
}
