package app

import (
	"encoding/json"

	"github.com/segue-deploy/segue/internal/drivers"
	"github.com/segue-deploy/segue/internal/spec"
	"github.com/segue-deploy/segue/internal/witness"
)

// checks find the faults of a project that only a driver or the witness can know, by their place in the file.
func checks() []func(*spec.Project) []spec.Complaint {
	return []func(*spec.Project) []spec.Complaint{drivers.Check, checkWitness}
}

func checkWitness(project *spec.Project) []spec.Complaint {
	if project.Witness == nil {
		return nil
	}
	text, err := project.Witness.JourneyJSON()
	if err != nil {
		return []spec.Complaint{{Path: "witness", Message: err.Error()}}
	}
	var journey witness.Journey
	if err := json.Unmarshal(text, &journey); err != nil {
		return []spec.Complaint{{Path: "witness", Message: err.Error()}}
	}
	var complaints []spec.Complaint
	for _, fault := range journey.Faults() {
		complaints = append(complaints, spec.Complaint{Path: "witness." + fault.Path, Message: fault.Message})
	}
	return complaints
}
