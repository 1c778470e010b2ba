package shop

import "errors"

// ErrCrash is what Run returns when a release that crashes has come to that point.
var ErrCrash = errors.New("crash as built")

// Fault is what is wrong with a bad release.
type Fault int

const (
	// FaultNone is a good release.
	FaultNone Fault = iota
	// FaultUnready never gets ready.
	FaultUnready
	// FaultCrash ends some seconds after its start.
	FaultCrash
	// FaultErrors answers a share of the requests with status 500.
	FaultErrors
	// FaultSlow delays every answer.
	FaultSlow
)

// String returns the fault's name.
func (f Fault) String() string {
	switch f {
	case FaultNone:
		return "none"
	case FaultUnready:
		return "unready"
	case FaultCrash:
		return "crash"
	case FaultErrors:
		return "errors"
	case FaultSlow:
		return "slow"
	}
	return "unknown"
}

// faultOf returns what is wrong with a release, by the name it was built with.
func faultOf(release string) Fault {
	for fault := FaultUnready; fault <= FaultSlow; fault++ {
		if release == "bad-"+fault.String() {
			return fault
		}
	}
	return FaultNone
}

// features says what a release can do: all but v1 have search, ratings and the wishlist.
type features struct {
	search, ratings, wishlist bool
	// twoNames keeps a customer's name in two parts.
	twoNames bool
}

// featuresOf returns the features of a release.
func featuresOf(release string) features {
	later := release != "v1"
	return features{search: later, ratings: later, wishlist: later, twoNames: later}
}
