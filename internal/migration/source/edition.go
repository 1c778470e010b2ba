package source

import (
	"slices"
	"strconv"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
)

// editionSign stands between the name of a repeatable file's statement and the number of its edition, from the second on ("R__views#1@2").
const editionSign = "@"

// Editions names the statements of repeatable files anew wherever the content is another than what was recorded last: they run again then, also when they
// are as they once were. before gives a file as it was recorded last.
func Editions(files []migration.File, before func(version string) (migration.File, bool)) []migration.File {
	files = slices.Clone(files)
	for i, file := range files {
		last, known := before(file.Version)
		if !file.Repeatable || !known || len(last.Statements) == 0 {
			continue
		}
		edition := 1
		if _, number, numbered := strings.Cut(string(last.Statements[0].ID), editionSign); numbered {
			edition, _ = strconv.Atoi(number) // as it was written below
		}
		if last.Sum != file.Sum {
			edition++
		}
		if edition == 1 {
			continue
		}
		files[i].Statements = slices.Clone(file.Statements)
		for j := range file.Statements {
			files[i].Statements[j].ID += migration.StatementID(editionSign + strconv.Itoa(edition))
		}
	}
	return files
}
