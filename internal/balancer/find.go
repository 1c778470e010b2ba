package balancer

import (
	"context"

	"github.com/segue-deploy/segue"
)

// Finder is a driver that can look at one backend alone: what is asked at every step must not cost more in a larger fleet.
type Finder interface {
	// Find reports a backend as Snapshot would. KindNotFound for one that is not known, or was removed.
	Find(ctx context.Context, id segue.InstanceID) (BackendStatus, error)
}

// Find reports one backend: by itself where the driver can, else out of a snapshot, which lists removed ones as out of rotation.
func Find(ctx context.Context, driver Driver, id segue.InstanceID) (BackendStatus, error) {
	if finder, ok := driver.(Finder); ok {
		return finder.Find(ctx, id)
	}
	snapshot, err := driver.Snapshot(ctx)
	if err != nil {
		return BackendStatus{}, err
	}
	return FindIn(snapshot, id)
}

// FindIn takes one backend out of a snapshot. KindNotFound when it is not listed.
func FindIn(snapshot Snapshot, id segue.InstanceID) (BackendStatus, error) {
	for _, backend := range snapshot.Backends {
		if backend.ID == id {
			return backend, nil
		}
	}
	return BackendStatus{}, segue.Errorf(segue.KindNotFound, "the balancer has no backend %s", id)
}
