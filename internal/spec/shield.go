package spec

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

// In YAML's flow style a brace within a word ends the word: [./releases/{release}/shop] and {URL: ${URL}} would be broken. Nobody can mean
// anything else by them than placeholders and variables, so their braces are shielded from the YAML parser by two characters that stand for nothing
// (noncharacters, refused in files), one for one, so that lines and columns stay what they are.
const (
	shieldOpen  = '\uFDD0'
	shieldClose = '\uFDD1'
)

// inWord finds ${NAME}, ${NAME:-default}, and {name} right behind a character that only stands within words.
var inWord = regexp.MustCompile(`(\$)\{([A-Za-z_][A-Za-z0-9_]*(?::-[^{}\s,\[\]"'#]*)?)\}|([A-Za-z0-9_./=@~%+?&;)\x{FDD1}-])\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// shield hides the braces of placeholders and variables.
func shield(text []byte) []byte {
	hidden := []byte("${1}${3}" + string(shieldOpen) + "${2}${4}" + string(shieldClose))
	// Twice: of two that follow each other directly, the second is seen only when the first is hidden.
	return inWord.ReplaceAll(inWord.ReplaceAll(text, hidden), hidden)
}

// unshield puts the braces back into what was parsed. The nodes of aliases are visited where they stand.
func unshield(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		n.Value = strings.NewReplacer(string(shieldOpen), "{", string(shieldClose), "}").Replace(n.Value)
	}
	for _, child := range n.Content {
		unshield(child)
	}
}
