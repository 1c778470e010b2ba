package segue

// Phase is where a rollout stands.
type Phase string

const (
	// PhaseQueued waits for the service's present rollout to end.
	PhaseQueued Phase = "queued"
	// PhaseProgressing carries out its plan.
	PhaseProgressing Phase = "progressing"
	// PhaseObserving looks at the mixed fleet and changes nothing.
	PhaseObserving Phase = "observing"
	// PhasePaused was told to stop by an operator, and lets begun servers come to their end.
	PhasePaused Phase = "paused"
	// PhaseHeld waits for a person: an approval, or a decision after a failed gate.
	PhaseHeld Phase = "held"
	// PhaseRollingBack takes candidate servers back to stable.
	PhaseRollingBack Phase = "rolling-back"
	// PhaseSucceeded ended with the candidate on every server.
	PhaseSucceeded Phase = "succeeded"
	// PhaseRolledBack ended with stable on every server.
	PhaseRolledBack Phase = "rolled-back"
	// PhaseMixed ended with more than one release, or with a server out of rotation; the end sentence says which.
	PhaseMixed Phase = "mixed"
)

// Over says whether the rollout has ended.
func (p Phase) Over() bool {
	return p == PhaseSucceeded || p == PhaseRolledBack || p == PhaseMixed
}

// ExitCode is the command line's exit code for a rollout in this phase: 0 done, 10 held, 11 rolled back, 13 mixed.
func (p Phase) ExitCode() int {
	switch p {
	case PhaseSucceeded:
		return 0
	case PhaseRolledBack:
		return 11
	case PhaseMixed:
		return 13
	default:
		return 10
	}
}
