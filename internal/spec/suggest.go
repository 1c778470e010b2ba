package spec

import (
	"fmt"
	"slices"
	"strings"
)

// suggest finds which of the candidates a misspelt word was meant to be: the nearest by edit distance, if that is near enough. "" without one.
func suggest(word string, candidates []string) string {
	if len(word) > 64 {
		return ""
	}
	best, least := "", max(1, len(word)/3)+1
	for _, candidate := range candidates {
		if d := distance(strings.ToLower(word), strings.ToLower(candidate)); d < least {
			best, least = candidate, d
		}
	}
	return best
}

// didYouMean makes a hint of it: the likeliest candidate, or all of them when none is likely and they are few.
func didYouMean(word string, candidates []string) string {
	if best := suggest(word, candidates); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	if len(candidates) == 0 || len(candidates) > 20 {
		return ""
	}
	return "known: " + strings.Join(candidates, ", ")
}

// distance counts the insertions, deletions, substitutions and swaps of neighbours that lead from a to b (optimal string alignment).
func distance(a, b string) int {
	from, to := []rune(a), []rune(b)
	rows := make([][]int, len(from)+1)
	for i := range rows {
		rows[i] = make([]int, len(to)+1)
		rows[i][0] = i
	}
	for j := range to {
		rows[0][j+1] = j + 1
	}
	for i := range from {
		for j := range to {
			cost := 1
			if from[i] == to[j] {
				cost = 0
			}
			d := min(rows[i][j+1]+1, rows[i+1][j]+1, rows[i][j]+cost)
			if i > 0 && j > 0 && from[i] == to[j-1] && from[i-1] == to[j] {
				d = min(d, rows[i-1][j-1]+1)
			}
			rows[i+1][j+1] = d
		}
	}
	return rows[len(from)][len(to)]
}

// list joins words for people: "a, b or c".
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	words = slices.Clone(words)
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
