package workloadtest

import (
	"bufio"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/workload"
)

// Subject is a driver under test and the servers behind it, with nothing on them.
type Subject struct {
	// Open gives a driver on the same servers. The suite closes one before it opens the next, as when a controller follows another.
	Open func(t *testing.T) workload.Driver
	// Release makes a release's artifact and gives the configuration with which its instances behave as told, as far as the driver
	// can: NeverReady, CrashAfter (at once is enough), IgnoreTerm, and Refuse (a command that cannot be run). Whatever can be, is short:
	// back-off, boot.
	Release func(t *testing.T, name segue.ReleaseName, b Behaviour) workload.Config
	// Spoil changes the release's artifact after that; Remove removes it.
	Spoil  func(t *testing.T, name segue.ReleaseName)
	Remove func(t *testing.T, name segue.ReleaseName)
	// Crash ends an instance's process by force, behind the driver's back.
	Crash func(t *testing.T, instance segue.Instance)
}

// Suite runs every test of the contract on a subject of its own. around runs each test; it is for drivers in a synctest bubble, and may
// be nil.
func Suite(t *testing.T, subject func(t *testing.T) Subject, around func(t *testing.T, test func(t *testing.T))) {
	t.Helper()
	if around == nil {
		around = func(t *testing.T, test func(t *testing.T)) { t.Helper(); test(t) }
	}
	for _, c := range append(releaseCases(), instanceCases()...) {
		t.Run(c.name, func(t *testing.T) {
			around(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				s := &suite{ctx: func() context.Context { return ctx }, subject: subject(t)}
				s.driver = s.subject.Open(t)
				defer s.end(t)
				c.test(t, s)
			})
		})
	}
}

type suiteCase struct {
	name string
	test func(t *testing.T, s *suite)
}

// suite is one test's subject, with shorthands.
type suite struct {
	ctx     func() context.Context
	subject Subject
	driver  workload.Driver
}

// end leaves nothing on the servers.
func (s *suite) end(t *testing.T) {
	t.Helper()
	ctx := context.WithoutCancel(s.ctx())
	all, err := s.driver.List(ctx)
	if err != nil {
		t.Error(err)
	}
	for _, i := range all {
		if err := s.driver.Stop(ctx, i.ID); err != nil {
			t.Error(err)
		}
	}
	if err := s.driver.Close(); err != nil {
		t.Error(err)
	}
}

func (s *suite) reopen(t *testing.T) {
	t.Helper()
	if err := s.driver.Close(); err != nil {
		t.Fatal(err)
	}
	s.driver = s.subject.Open(t)
}

// release makes, registers and stages release v1.
func (s *suite) release(t *testing.T, b Behaviour) (segue.Release, workload.Config) {
	t.Helper()
	const name = "v1"
	config := s.subject.Release(t, name, b)
	digest, artifact, err := s.driver.Digest(s.ctx(), config, name)
	if err != nil {
		t.Fatal(err)
	}
	release := segue.Release{Service: "web", Name: name, Digest: digest, Artifact: artifact, Config: config.Digest()}
	if err := s.driver.Stage(s.ctx(), config, release); err != nil {
		t.Fatal(err)
	}
	return release, config
}

// suiteGrace is short, as some instances use it up.
const suiteGrace = 300 * time.Millisecond

func (s *suite) launch(release segue.Release, config workload.Config, rollout segue.RolloutID) workload.Launch {
	return workload.Launch{
		ID:      segue.NewInstanceID("web-1", release.Name, rollout, 1),
		Service: "web", Server: "web-1", Release: release, Config: config, Grace: suiteGrace,
	}
}

// start starts the first instance of release v1, which behaves so.
func (s *suite) start(t *testing.T, b Behaviour) (workload.Launch, segue.Instance) {
	t.Helper()
	release, config := s.release(t, b)
	launch := s.launch(release, config, 1)
	instance, err := s.driver.Start(s.ctx(), launch)
	if err != nil {
		t.Fatal(err)
	}
	return launch, instance
}

// list gives the instances that are there, by ID.
func (s *suite) list(t *testing.T) map[segue.InstanceID]segue.Instance {
	t.Helper()
	all, err := s.driver.List(s.ctx())
	if err != nil {
		t.Fatal(err)
	}
	found := map[segue.InstanceID]segue.Instance{}
	for _, i := range all {
		found[i.ID] = i
	}
	return found
}

func wantKind(t *testing.T, err error, want segue.Kind) {
	t.Helper()
	if err == nil || segue.KindOf(err) != want {
		t.Fatalf("error %v of kind %v; want kind %v", err, segue.KindOf(err), want)
	}
}

func releaseCases() []suiteCase {
	return []suiteCase{
		{"DigestIsOfTheContent", func(t *testing.T, s *suite) {
			config := s.subject.Release(t, "v1", Behaviour{})
			first, _, err := s.driver.Digest(s.ctx(), config, "v1")
			if err != nil {
				t.Fatal(err)
			}
			again, artifact, err := s.driver.Digest(s.ctx(), config, "v1")
			if err != nil || again != first || artifact == "" {
				t.Errorf("the second time: %q, %q, %v; want %q", again, artifact, err, first)
			}
			s.subject.Spoil(t, "v1")
			if other, _, err := s.driver.Digest(s.ctx(), config, "v1"); err != nil || other == first {
				t.Errorf("after a change: %q, %v; want another digest", other, err)
			}
			s.subject.Remove(t, "v1")
			_, _, err = s.driver.Digest(s.ctx(), config, "v1")
			wantKind(t, err, segue.KindNotFound)
		}},
		{"StageRefusesOtherContent", func(t *testing.T, s *suite) {
			config := s.subject.Release(t, "v1", Behaviour{})
			digest, _, err := s.driver.Digest(s.ctx(), config, "v1")
			if err != nil {
				t.Fatal(err)
			}
			s.subject.Spoil(t, "v1")
			release := segue.Release{Service: "web", Name: "v1", Digest: digest}
			wantKind(t, s.driver.Stage(s.ctx(), config, release), segue.KindConflict)
			_, err = s.driver.Start(s.ctx(), s.launch(release, config, 1))
			wantKind(t, err, segue.KindNotFound)
		}},
		{"StagedReleaseOutlivesItsOriginal", func(t *testing.T, s *suite) {
			release, config := s.release(t, Behaviour{})
			s.subject.Remove(t, "v1")
			if err := s.driver.Stage(s.ctx(), config, release); err != nil {
				t.Errorf("staging again: %v", err)
			}
			s.reopen(t)
			instance, err := s.driver.Start(s.ctx(), s.launch(release, config, 1))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.driver.AwaitReady(s.ctx(), instance.ID); err != nil {
				t.Error(err)
			}
		}},
		{"RetireWaitsForInstances", func(t *testing.T, s *suite) {
			launch, instance := s.start(t, Behaviour{})
			wantKind(t, s.driver.Retire(s.ctx(), launch.Release), segue.KindConflict)
			if err := s.driver.Stop(s.ctx(), instance.ID); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := s.driver.Retire(s.ctx(), launch.Release); err != nil {
					t.Fatal(err)
				}
			}
			_, err := s.driver.Start(s.ctx(), s.launch(launch.Release, launch.Config, 2))
			wantKind(t, err, segue.KindNotFound)
			_, err = s.driver.Logs(s.ctx(), instance.ID, 1, false)
			wantKind(t, err, segue.KindNotFound)
		}},
		{"ReleaseThatCannotRunLeavesNothing", func(t *testing.T, s *suite) {
			release, config := s.release(t, Behaviour{Refuse: segue.Errorf(segue.KindNotFound, "no such program")})
			_, err := s.driver.Start(s.ctx(), s.launch(release, config, 1))
			if kind := segue.KindOf(err); err == nil || kind != segue.KindNotFound && kind != segue.KindInvalid {
				t.Fatalf("error %v of kind %v; want not_found or invalid", err, kind)
			}
			if found := s.list(t); len(found) > 0 {
				t.Errorf("it left %v", found)
			}
		}},
	}
}

func instanceCases() []suiteCase {
	return append(readyCases(), []suiteCase{
		{"StartTwiceIsStartOnce", func(t *testing.T, s *suite) {
			launch, first := s.start(t, Behaviour{})
			var group sync.WaitGroup
			for range 4 {
				group.Go(func() {
					again, err := s.driver.Start(s.ctx(), launch)
					if err != nil || again.ID != first.ID || again.Address != first.Address || again.PID != first.PID {
						t.Errorf("again: %+v, %v; want %+v", again, err, first)
					}
				})
			}
			group.Wait()
			if found := s.list(t); len(found) != 1 {
				t.Errorf("there are %d instances", len(found))
			}
		}},
		{"StoppedInstanceStaysStopped", func(t *testing.T, s *suite) {
			launch, instance := s.start(t, Behaviour{})
			for range 2 {
				if err := s.driver.Stop(s.ctx(), instance.ID); err != nil {
					t.Fatal(err)
				}
			}
			if found := s.list(t); len(found) > 0 {
				t.Errorf("there is %v", found)
			}
			s.reopen(t)
			_, err := s.driver.Start(s.ctx(), launch)
			wantKind(t, err, segue.KindConflict)
			wantKind(t, s.driver.Probe(s.ctx(), instance.ID), segue.KindNotFound)
		}},
		{"StopBeforeStartPreventsIt", func(t *testing.T, s *suite) {
			release, config := s.release(t, Behaviour{})
			launch := s.launch(release, config, 1)
			if err := s.driver.Stop(s.ctx(), launch.ID); err != nil {
				t.Fatal(err)
			}
			_, err := s.driver.Start(s.ctx(), launch)
			wantKind(t, err, segue.KindConflict)
		}},
		{"StopEndsWhatIgnoresTerm", func(t *testing.T, s *suite) {
			_, instance := s.start(t, Behaviour{IgnoreTerm: true})
			if err := s.driver.AwaitReady(s.ctx(), instance.ID); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			if err := s.driver.Stop(s.ctx(), instance.ID); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begun); took < suiteGrace {
				t.Errorf("it was killed after %v, before its grace period was over", took)
			}
		}},
		{"StopGoesOnWithoutItsCaller", func(t *testing.T, s *suite) {
			_, instance := s.start(t, Behaviour{IgnoreTerm: true})
			if err := s.driver.AwaitReady(s.ctx(), instance.ID); err != nil {
				t.Fatal(err)
			}
			gone, cancel := context.WithCancel(s.ctx())
			cancel()
			wantKind(t, s.driver.Stop(gone, instance.ID), segue.KindCanceled)
			if err := s.driver.Stop(s.ctx(), instance.ID); err != nil {
				t.Fatal(err)
			}
			if found := s.list(t); len(found) > 0 {
				t.Errorf("there is %v", found)
			}
		}},
		{"NextDriverFindsInstances", func(t *testing.T, s *suite) {
			launch, instance := s.start(t, Behaviour{})
			if err := s.driver.AwaitReady(s.ctx(), instance.ID); err != nil {
				t.Fatal(err)
			}
			before := s.list(t)[instance.ID]
			s.reopen(t)
			after := s.list(t)[instance.ID]
			if after.PID != before.PID || after.Address != before.Address || after.Release != "v1" || after.Server != "web-1" {
				t.Errorf("it finds %+v, want %+v", after, before)
			}
			if again, err := s.driver.Start(s.ctx(), launch); err != nil || again.PID != before.PID {
				t.Errorf("start again: %+v, %v", again, err)
			}
			if err := s.driver.Probe(s.ctx(), instance.ID); err != nil {
				t.Error(err)
			}
		}},
		{"CrashedInstanceComesBack", func(t *testing.T, s *suite) {
			_, instance := s.start(t, Behaviour{})
			if err := s.driver.AwaitReady(s.ctx(), instance.ID); err != nil {
				t.Fatal(err)
			}
			states, err := s.driver.Watch(s.ctx())
			if err != nil {
				t.Fatal(err)
			}
			s.subject.Crash(t, instance)
			for state := range states {
				if state.Restarts != 1 || state.State != segue.InstanceRunning {
					continue
				}
				if state.ID != instance.ID || state.Address != instance.Address || state.Release != "v1" || state.Error == "" {
					t.Errorf("it came back as %+v", state)
				}
				break
			}
			if err := s.driver.AwaitReady(s.ctx(), instance.ID); err != nil {
				t.Error(err)
			}
		}},
		{"WatchTellsTheEnd", func(t *testing.T, s *suite) {
			_, instance := s.start(t, Behaviour{})
			watching, cancel := context.WithCancel(s.ctx())
			states, err := s.driver.Watch(watching)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.driver.Stop(s.ctx(), instance.ID); err != nil {
				t.Fatal(err)
			}
			for state := range states {
				if state.ID == instance.ID && state.State == segue.InstanceExited {
					break
				}
			}
			cancel()
			for range states { // drained until it is closed
			}
		}},
		{"LogsEndWithTheirReader", func(t *testing.T, s *suite) {
			_, instance := s.start(t, Behaviour{})
			following, cancel := context.WithCancel(s.ctx())
			log, err := s.driver.Logs(following, instance.ID, 100, true)
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			lines := bufio.NewScanner(log)
			if !lines.Scan() {
				t.Fatalf("there is no line: %v", lines.Err())
			}
			cancel()
			for lines.Scan() { // drained until it ends
			}
			if err := lines.Err(); err != nil {
				t.Errorf("it ends with %v", err)
			}
			_, err = s.driver.Logs(s.ctx(), "web-9.v9.9", 1, false)
			wantKind(t, err, segue.KindNotFound)
		}},
	}...)
}

func readyCases() []suiteCase {
	return []suiteCase{
		{"ReadyInstancePassesItsProbe", func(t *testing.T, s *suite) {
			_, instance := s.start(t, Behaviour{Boot: 20 * time.Millisecond})
			if err := s.driver.AwaitReady(s.ctx(), instance.ID); err != nil {
				t.Fatal(err)
			}
			if err := s.driver.Probe(s.ctx(), instance.ID); err != nil {
				t.Error(err)
			}
		}},
		{"NeverReadyTimesOut", func(t *testing.T, s *suite) {
			_, instance := s.start(t, Behaviour{NeverReady: true})
			ctx, cancel := context.WithTimeout(s.ctx(), 300*time.Millisecond)
			defer cancel()
			wantKind(t, s.driver.AwaitReady(ctx, instance.ID), segue.KindTimeout)
			wantKind(t, s.driver.Probe(s.ctx(), instance.ID), segue.KindUnhealthy)
			gone, cancel := context.WithCancel(s.ctx())
			cancel()
			wantKind(t, s.driver.AwaitReady(gone, instance.ID), segue.KindCanceled)
		}},
		{"CrashingInstanceFailsEarly", func(t *testing.T, s *suite) {
			_, instance := s.start(t, Behaviour{CrashAfter: time.Nanosecond, Boot: time.Second})
			wantKind(t, s.driver.AwaitReady(s.ctx(), instance.ID), segue.KindUnhealthy)
			if s.ctx().Err() != nil {
				t.Error("it took until the deadline")
			}
		}},
		{"StrangersAreNotFound", func(t *testing.T, s *suite) {
			wantKind(t, s.driver.AwaitReady(s.ctx(), "web-9.v9.9"), segue.KindNotFound)
			wantKind(t, s.driver.Probe(s.ctx(), "web-9.v9.9"), segue.KindNotFound)
			if err := s.driver.Stop(s.ctx(), "web-8.v9.9"); err != nil {
				t.Errorf("stop: %v", err)
			}
			if err := s.driver.Retire(s.ctx(), segue.Release{Service: "web", Name: "v9", Digest: "sha256:0000000000000000000000000000000000000000000000000000000000000000"}); err != nil {
				t.Errorf("retire: %v", err)
			}
		}},
	}
}
