package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"runtime"
	"slices"
	"time"

	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/evidence"
	"github.com/segue-deploy/segue/internal/judge/logs"
	"github.com/segue-deploy/segue/internal/judge/rehearsal"
	"github.com/segue-deploy/segue/internal/judge/template"
	"github.com/segue-deploy/segue/internal/judge/template/templatetest"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// each calls do with 0, 1, ... for about a second, on one core, and gives the time of one call.
func each(ctx context.Context, do func(i int)) time.Duration {
	const burst = 64
	calls, began := 0, time.Now()
	for ctx.Err() == nil && time.Since(began) < time.Second {
		for range burst {
			do(calls)
			calls++
		}
	}
	return time.Since(began) / time.Duration(max(1, calls))
}

func perSecond(one time.Duration) float64 { return float64(time.Second) / float64(max(1, one)) }

// logCorpus is lines of all styles.
func logCorpus() [][]byte {
	var lines [][]byte
	for i, style := range templatetest.Styles() {
		for _, line := range style.Generate(uint64(i), 1000, func(int) bool { return true }) {
			lines = append(lines, []byte(line.Text))
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	random.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	return lines
}

// naiveMasker is what one finds in blogs: an expression for each kind of value, one after the other.
func naiveMasker() func(line []byte) []byte {
	masks := []*regexp.Regexp{
		regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?`),
		regexp.MustCompile(`[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}`),
		regexp.MustCompile(`\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?::\d+)?\b`),
		regexp.MustCompile(`\b0x[0-9a-fA-F]+\b`),
		regexp.MustCompile(`\b[0-9a-f]{12,}\b`),
		regexp.MustCompile(`(?:/[\w.-]+)+`),
		regexp.MustCompile(`\b\d+(?:\.\d+)?(?:ms|us|s|m|h|KB|MB|GB|%)?\b`),
	}
	return func(line []byte) []byte {
		for _, mask := range masks {
			line = mask.ReplaceAllLiteral(line, []byte("<*>"))
		}
		return line
	}
}

// measureLines tells how many lines a core takes in.
func measureLines(ctx context.Context, t *Table) {
	lines, at := logCorpus(), time.Date(2026, 3, 3, 9, 0, 0, 0, time.UTC)
	size := 0
	for _, line := range lines {
		size += len(line) + 1
	}
	parser, masker := template.NewParser(), naiveMasker()
	var parsed template.Line
	parse := each(ctx, func(i int) { parser.Parse(lines[i%len(lines)], &parsed) })
	miner := template.NewMiner(template.Options{}, nil)
	stream := miner.Stream("web-1")
	for _, line := range lines {
		stream.Line(line, at, at)
	}
	mine := each(ctx, func(i int) { stream.Line(lines[i%len(lines)], at, at) })
	naive := each(ctx, func(i int) { masker(lines[i%len(lines)]) })
	joined, rest := append(bytes.Join(lines, []byte("\n")), '\n'), []byte(nil)
	split := each(ctx, func(int) {
		if len(rest) == 0 {
			rest = joined
		}
		rest = rest[bytes.IndexByte(rest, '\n')+1:]
	})
	t.Say("lines: parse %s, mine %s, regexps %s, splitting alone %s", parse, mine, naive, split)
	t.Add("judges.lines.parse", perSecond(parse), "lines/s", fmt.Sprintf("one core; %d styles, %d B a line", len(templatetest.Styles()), size/len(lines)))
	t.Add("judges.lines.mine", perSecond(mine), "lines/s", "with joining, tree and counts")
	t.Add("judges.lines.regexps", perSecond(naive), "lines/s", "masked by seven regular expressions, no template learnt")
	t.Add("judges.lines.limit", perSecond(split), "lines/s", "split at line ends alone")
	t.Ratio("judges.lines.parse.ratio", perSecond(parse), perSecond(naive), "regexps")
	t.Ratio("judges.lines.mine.ratio", perSecond(mine), perSecond(naive), "regexps")
}

// letters writes a number in letters: what has digits would be masked.
func letters(n int) string {
	text := ""
	for ; n > 0 || len(text) < 4; n /= 20 {
		text += string(rune('g' + n%20))
	}
	return text
}

// measureTemplates tells what memory 10,000 templates take.
func measureTemplates(t *Table) {
	const templates = 10_000
	at := time.Date(2026, 3, 3, 9, 0, 0, 0, time.UTC)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	miner, size, began := template.NewMiner(template.Options{Templates: 12_000}, nil), 0, time.Now()
	for i := range templates {
		line := fmt.Appendf(nil, "%s: %s failed to %s the %s %d %s %s", letters(i*31), letters(i*7), letters(i), letters(i*3), i, letters(i*5), letters(i*11))
		size += len(line)
		miner.Add(line, "web-1", at, at)
	}
	took := time.Since(began)
	runtime.GC()
	runtime.ReadMemStats(&after)
	learnt := 0
	miner.Look(func(tree *template.Tree, _ *template.Counter) { learnt = tree.Len() })
	t.Add("judges.templates.memory", float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB", fmt.Sprintf("%d templates of eight words", learnt))
	t.Add("judges.templates.limit", float64(size)/(1<<20), "MiB", "their text alone")
	t.Add("judges.templates.learn", float64(took.Nanoseconds())/templates/1000, "µs", "each new one")
}

// measureEvidence tells what weighing a bin costs.
func measureEvidence(ctx context.Context, t *Table) {
	process := evidence.NewProcess(evidence.Options{Only: true})
	add := each(ctx, func(i int) {
		process.Add(evidence.Split{Candidate: float64(i % 3), Others: float64(i % 7), CandidateExposure: 1, OthersExposure: 3})
	})
	read := each(ctx, func(int) { process.LogE() })
	var mine, theirs telemetry.Histogram
	random := rand.New(rand.NewPCG(31, 32))
	for range 600 {
		mine.Observe(time.Duration(40+random.ExpFloat64()*20) * time.Millisecond)
		theirs.Observe(time.Duration(40+random.ExpFloat64()*20) * time.Millisecond)
	}
	latency := evidence.NewLatency(0.25, mine.Distribution(), theirs.Distribution())
	slow := each(ctx, func(int) { latency.Add(mine.Distribution(), theirs.Distribution()) })
	copies := each(ctx, func(int) { _, _ = mine.Distribution(), theirs.Distribution() })
	t.Add("judges.evidence.add", float64(add.Nanoseconds()), "ns/bin", "counts of a template or of errors")
	t.Add("judges.evidence.read", float64(read.Nanoseconds()), "ns", "the evidence as it stands")
	t.Add("judges.evidence.latency", float64((slow - copies).Nanoseconds()), "ns/bin", "histograms of 600 requests a side")
}

// measureWeigh tells what a window costs the judge of logs.
func measureWeigh(ctx context.Context, t *Table) error {
	world := rehearsal.World{Seed: 1, Servers: 10, Templates: 5000, LogRate: 20_000, History: 10 * time.Minute, Length: 5 * time.Minute}
	j, told := logs.New(logs.Config{}), 0
	var took []float64
	var first, all time.Duration
	var counts int
	for window := range world.Windows() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		for _, part := range append(slices.Clone(window.Before), window) {
			told += len(part.Templates)
		}
		began := time.Now()
		j.Weigh(window)
		one := time.Since(began)
		if len(window.Before) > 0 {
			first = one
			continue
		}
		took, all = append(took, ms(one)), all+one
		counts += countsOf(window)
	}
	if len(took) == 0 {
		return errors.New("the world gave no windows")
	}
	t.Add("judges.weigh.window", median(took), "ms", fmt.Sprintf("%d templates, 10 servers, a window of 10 s", told))
	t.Add("judges.weigh.longest", slices.Max(took), "ms", fmt.Sprintf("of %d windows", len(took)))
	t.Add("judges.weigh.history", ms(first), "ms", "ten minutes of history, once")
	t.Add("judges.weigh.count", float64(all.Nanoseconds())/float64(max(1, counts)), "ns", fmt.Sprintf("each count of a template on a server, %d a window", counts/len(took)))
	return nil
}

func countsOf(window judge.Evidence) (n int) {
	for _, s := range window.Servers {
		n += len(s.Logs)
	}
	return n
}
