package cli_test

import (
	"strings"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
)

// tick lets a little virtual time pass.
func (term *terminal) tick() { <-time.After(50 * time.Millisecond) }

func TestDeployAsksAndFollowsToTheEnd(t *testing.T) {
	sit(t, func(term *terminal) {
		term.start("deploy", "v2")
		term.shows("Go? [y/N]")
		if term.open() != nil {
			t.Error("a rollout was opened before the answer")
		}
		term.types("y")
		term.shows("waiting until v2 is ready")
		term.shows("observing v2")
		term.ends(0)
		screen := term.screen()
		if n := strings.Count(screen, "rollout 2 "); n > 3 {
			t.Errorf("the live view left %d headers behind:\n%s", n, screen)
		}
		if last := lastLine(screen); last != "web: v2 runs on all 3 servers." {
			t.Errorf("last line %q", last)
		}
		if raw := term.out.String(); strings.LastIndex(raw, "\x1b[?25h") < strings.LastIndex(raw, "\x1b[?25l") {
			t.Error("the cursor was not given back")
		}
	})
}

// TestDeployEndsAsSoonAsItIsOver: the last events come right after a look, and are not left until the next tick.
func TestDeployEndsAsSoonAsItIsOver(t *testing.T) {
	sit(t, func(term *terminal) {
		term.noTerminal = true
		term.start("deploy", "v2", "--yes")
		term.ends(0)
		term.world.mu.Lock()
		defer term.world.mu.Unlock()
		last := term.world.entries[len(term.world.entries)-1]
		if late := time.Since(last.At); last.Event.Kind != segue.EventReceipt || late > 100*time.Millisecond {
			t.Errorf("the command ended %v after %s", late, last.Event.Kind)
		}
	})
}

func TestDeployWithoutAYesDoesNothing(t *testing.T) {
	for _, answer := range []string{"", "n", "what?"} {
		sit(t, func(term *terminal) {
			term.start("deploy", "v2")
			term.shows("Go? [y/N]")
			term.types(answer)
			term.ends(1)
			if term.open() != nil || !strings.Contains(term.screen(), "Nothing was done.") {
				t.Errorf("after %q: %+v\n%s", answer, term.open(), term.screen())
			}
		})
	}
}

func TestCtrlCLeavesItRunning(t *testing.T) {
	answers := map[string]func(*terminal){
		"by answer":       func(term *terminal) { term.types("l") },
		"by Ctrl-C again": func(term *terminal) { term.presses() },
		"by end of input": func(term *terminal) { _ = term.keys.Close() },
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			sit(t, func(term *terminal) {
				term.start("deploy", "v2", "--yes")
				term.shows("observing v2")
				term.presses()
				term.shows("l leave it running, p pause, a abort (back to v1), c continue watching:")
				answer(term)
				term.ends(10)
				if !strings.Contains(term.screen(), "It goes on without this command") || term.phase() != segue.PhaseObserving {
					t.Errorf("phase %q\n%s", term.phase(), term.screen())
				}
			})
		})
	}
}

func TestCtrlCPausesAndGoesOn(t *testing.T) {
	sit(t, func(term *terminal) {
		term.start("deploy", "v2", "--yes")
		term.shows("waiting until v2 is ready")
		term.presses()
		term.types("p")
		term.shows("waits for you (paused by ana")
		if term.phase() != segue.PhasePaused {
			t.Errorf("phase %q", term.phase())
		}
		term.presses()
		term.shows("g go on, a abort")
		term.types("g")
		term.shows("observing v2")
		term.presses()
		term.types("c")
		term.ends(0)
	})
}

func TestCtrlCAborts(t *testing.T) {
	sit(t, func(term *terminal) {
		term.start("deploy", "v2", "--yes")
		term.shows("observing v2")
		term.presses()
		term.types("a")
		term.ends(11)
		// The sentence is broken in two on a terminal of 80 columns.
		if screen := strings.Join(strings.Fields(term.screen()), " "); !strings.HasSuffix(screen, "v2 was given up: aborted by ana: Ctrl-C in deploy.") {
			t.Error(screen)
		}
	})
}

func TestInterruptWithoutTerminalLeavesItRunning(t *testing.T) {
	sit(t, func(term *terminal) {
		term.noTerminal = true
		for name, end := range map[string]func(){"SIGINT": func() { term.presses() }, "SIGTERM": func() { term.cancel() }} {
			term.start("deploy", "v2", "--yes")
			term.shows("observing v2 for 10 s")
			end()
			term.ends(10)
			if out := term.out.String(); !strings.Contains(out, "status --watch") || strings.Contains(out, "\x1b") {
				t.Errorf("%s:\n%s", name, out)
			}
			if term.phase() != segue.PhaseObserving {
				t.Errorf("%s: phase %q", name, term.phase())
			}
			term.start("abort", "--follow")
			term.ends(11)
		}
	})
}

func TestControllerDiesAndFollowingGoesOn(t *testing.T) {
	for _, noTerminal := range []bool{false, true} {
		sit(t, func(term *terminal) {
			term.noTerminal = noTerminal
			term.start("deploy", "v2", "--yes")
			term.shows("observing v2")
			term.world.kill()
			term.shows("connecting again")
			<-time.After(7 * time.Second)
			term.world.revive()
			term.ends(0)
			if !noTerminal {
				return
			}
			out := term.out.String()
			for _, line := range []string{"web-1 admitted on v2", "web-2 admitted on v2", "web-3 admitted on v2", "observing v2", "a controller answers again"} {
				if n := strings.Count(out, line); n != 1 {
					t.Errorf("%q is told %d times:\n%s", line, n, out)
				}
			}
		})
	}
}

func TestControllerStaysAway(t *testing.T) {
	sit(t, func(term *terminal) {
		term.noTerminal = true
		term.start("deploy", "v2", "--yes")
		term.shows("observing v2")
		term.world.kill()
		term.ends(1)
		if out := term.out.String(); !strings.Contains(out, "segue: the controller is gone") || !strings.Contains(out, "hint: the rollout goes on when one runs again") {
			t.Error(out)
		}
		term.world.revive()
	})
}

// heldShop waits for a person after the first batch.
func heldShop() string { return strings.Replace(shop, "bake: 10s", "bake: 10s, approve: true", 1) }

func TestHeldOnATerminalWaitsForThePerson(t *testing.T) {
	sitBefore(t, heldShop(), func(term *terminal) {
		term.start("deploy", "v2")
		term.shows("Go? [y/N]")
		term.types("y")
		term.shows("waits for you")
		term.presses()
		term.shows("l leave it running, g approve and go on, a abort (back to v1), c continue watching:")
		term.types("g")
		term.ends(0)
	})
}

func TestHeldWithYesEndsWithTheCommandsToGoOn(t *testing.T) {
	sitBefore(t, heldShop(), func(term *terminal) {
		term.start("deploy", "v2", "--yes")
		term.ends(10)
		for _, want := range []string{"web waits for you", "segue approve web", "segue abort web"} {
			if !strings.Contains(term.screen(), want) {
				t.Errorf("no %q in\n%s", want, term.screen())
			}
		}
		term.start("approve", "--follow")
		term.ends(0)
	})
}

func TestCtrlCWhileNoControllerAnswers(t *testing.T) {
	sit(t, func(term *terminal) {
		term.start("deploy", "v2", "--yes")
		term.shows("observing v2")
		term.world.kill()
		term.shows("connecting again")
		term.presses()
		term.ends(10)
		term.world.revive()
	})
}

func TestOneOfTwoServicesRollsBack(t *testing.T) {
	two := shop + strings.NewReplacer("project: shop\nservices:\n", "", "  web:\n", "  api:\n", ":8080", ":8081").Replace(shop)
	sitBefore(t, two, func(term *terminal) {
		term.noTerminal = true
		term.start("deploy", "web=v2", "api=bad", "--yes")
		term.ends(11)
		out := term.out.String()
		for _, want := range []string{" web: web-1 admitted on v2", " api: verdict: fail", "api: v1 runs on all 3 servers; bad was given up", "web: v2 runs on all 3 servers."} {
			if !strings.Contains(out, want) {
				t.Errorf("no %q in\n%s", want, out)
			}
		}
		term.start("status")
		term.ends(0)
	})
}

func TestStatusWatchEndsWithCtrlC(t *testing.T) {
	sit(t, func(term *terminal) {
		term.start("deploy", "v2", "--yes", "--detach")
		term.ends(0)
		term.start("status", "--watch")
		term.shows("observing v2")
		term.shows("3 s left")
		term.presses()
		term.ends(0)
		if term.phase() != segue.PhaseObserving {
			t.Errorf("watching changed the phase to %q", term.phase())
		}
	})
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
