package controller

import (
	"testing"

	"github.com/segue-deploy/segue/internal/migration"
)

func TestReasonSaysNothingTwice(t *testing.T) {
	t.Parallel()
	const missing = `column "name" of relation "customers" does not exist`
	unsafe := func(text string) migration.Ground {
		return migration.Ground{Answer: migration.AnswerUnsafe, Text: text}
	}
	first := unsafe("v1 may come back until 10:03:52 and needs it (" + missing + ")")
	first.Release = "v1"
	got := reasonOf(migration.Gate{Grounds: []migration.Ground{first, unsafe(missing), unsafe("web-1 asked for it"), unsafe("web-1 asked for it")}})
	if want := first.Text + "; web-1 asked for it"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
