package cli

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestReferenceIsFresh holds docs/cli.md to the commands; -update writes it anew.
func TestReferenceIsFresh(t *testing.T) {
	Golden(t, filepath.Join("..", "..", "docs", "cli.md"), reference(newRoot(newSession(Dependencies{}))))
}

// TestEveryCommandHasHelp: a line, a paragraph and an example each, that fit the narrowest terminal.
func TestEveryCommandHasHelp(t *testing.T) {
	for _, c := range commandsOf(newRoot(newSession(Dependencies{}))) {
		if c.Short == "" || c.Long == "" || c.Example == "" {
			t.Errorf("%s: short, long or example is missing", c.CommandPath())
		}
		if strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: the short line ends with a full stop", c.CommandPath())
		}
		for line := range strings.SplitSeq(c.Long+"\n"+c.Example, "\n") {
			if len(line) > helpDefault {
				t.Errorf("%s: a line of its help is %d wide: %q", c.CommandPath(), len(line), line)
			}
		}
	}
}

// commandsOf lists a command and all below it that are ours and shown.
func commandsOf(c *cobra.Command) []*cobra.Command {
	if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
		return nil
	}
	all := []*cobra.Command{c}
	for _, child := range c.Commands() {
		all = append(all, commandsOf(child)...)
	}
	return all
}

// reference is the whole command line as Markdown.
func reference(root *cobra.Command) string {
	var out strings.Builder
	out.WriteString("# Command line\n\n<!-- Generated from internal/cli by `make gen`. -->\n\n")
	out.WriteString(root.Long + "\n\n```sh\n" + unindent(root.Example) + "\n```\n\n")
	for _, group := range root.Groups() {
		out.WriteString("**" + group.Title + "** ")
		var links []string
		for _, c := range root.Commands() {
			if c.GroupID == group.ID && !c.Hidden {
				links = append(links, fmt.Sprintf("[`%s`](#segue-%s)", c.Name(), c.Name()))
			}
		}
		out.WriteString(strings.Join(links, ", ") + "\n\n")
	}
	out.WriteString("Shell completion: `segue completion bash|zsh|fish|powershell` prints the script, `segue completion bash --help` says where it goes.\n\n")
	out.WriteString("## Flags of every command\n\n" + flagText(root.PersistentFlags().FlagUsagesWrapped(helpMost)))
	for _, c := range commandsOf(root)[1:] {
		fmt.Fprintf(&out, "## %s\n\n%s.\n\n", c.CommandPath(), c.Short)
		fmt.Fprintf(&out, "```text\n%s\n```\n\n%s\n\n", c.UseLine(), c.Long)
		out.WriteString(flagText(c.NonInheritedFlags().FlagUsagesWrapped(helpMost)))
		fmt.Fprintf(&out, "```sh\n%s\n```\n\n", unindent(c.Example))
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}

func unindent(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "  ")
	}
	return strings.Join(lines, "\n")
}

// flagText is a command's own flags as its help shows them.
func flagText(usages string) string {
	var out strings.Builder
	for line := range strings.Lines(usages) {
		if !strings.Contains(line, "  help for ") {
			out.WriteString(line)
		}
	}
	if out.Len() == 0 {
		return ""
	}
	return "```text\n" + out.String() + "```\n\n"
}
