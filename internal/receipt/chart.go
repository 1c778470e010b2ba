package receipt

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
)

// Measures of the chart, in its own units; the page scales it.
const (
	chartWidth = 1040
	chartLeft  = 116
	chartRight = 16
	chartTop   = 26
	// serverLimit bounds the rows of servers, markLimit the marks of failures.
	serverLimit = 120
	markLimit   = 300
)

// chart is the time line with the traffic below it, as places.
type chart struct {
	Width, Height, Left, Right int
	// Label says in words what is to be seen.
	Label  string
	Ticks  []tick
	Rows   []chartRow
	Bottom float64
	// EndX is where the rollout ended, 0 when the chart ends there too.
	EndX   float64
	Plots  []plot
	More   int
	Legend []legendItem
	Window string
}

type tick struct {
	X    float64
	Text string
}

type chartRow struct {
	Name     string
	Y, TextY float64
	Shade    bool
	Height   float64
	Spans    []box
	Steps    []box
	Marks    []mark
}

// box is a rectangle with what it means in words.
type box struct {
	X, Y, W, H float64
	Class      string
	Title      string
	// Text is shown within, where there is room.
	Text  string
	TextX float64
	TextY float64
}

type mark struct {
	Points string
	Title  string
}

// plot is one small curve below the rows.
type plot struct {
	Name, Most  string
	Y, H        float64
	TextY       float64
	Class       string
	Area, Line  string
	Bars        []box
	BaseY, TopY float64
}

type legendItem struct{ Class, Text string }

// axis turns times into places.
type axis struct {
	interval
	left, width float64
}

func (a axis) x(at time.Time) float64 {
	share := float64(at.Sub(a.from)) / float64(max(1, a.length()))
	return round(a.left + a.width*min(1, max(0, share)))
}

func round(x float64) float64 { return float64(int64(x*10+0.5)) / 10 }

// newChart draws; nil when there is nothing to draw.
func newChart(r Receipt) *chart {
	window := interval{r.Started, r.Ended}
	if r.Started.IsZero() || window.length() <= 0 || len(r.Steps)+len(r.Servers) == 0 {
		return nil
	}
	if r.Traffic != nil && r.Traffic.Until.After(window.to) {
		// What came right after belongs to the picture, but must not press the rollout together.
		window.to = earliest(r.Traffic.Until, window.to.Add(window.length()/7))
	}
	c := &chart{Width: chartWidth, Left: chartLeft, Right: chartWidth - chartRight, Label: r.Headline()}
	a := axis{window, chartLeft, chartWidth - chartLeft - chartRight}
	if window.to.After(r.Ended) {
		c.EndX = a.x(r.Ended)
	}
	c.Ticks = ticks(a)
	y := c.addRows(r, a, chartTop)
	c.Bottom = y
	y = c.addPlots(r, a, y+14)
	c.Height = int(y + 4)
	c.addLegend(r)
	return c
}

// ticks divides the axis at round numbers.
func ticks(a axis) []tick {
	steps := []time.Duration{
		50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second,
		10 * time.Second, 20 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute,
		30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 12 * time.Hour, 24 * time.Hour, 48 * time.Hour, 7 * 24 * time.Hour,
	}
	step := steps[len(steps)-1]
	for _, candidate := range steps {
		if a.length()/candidate <= 9 {
			step = candidate
			break
		}
	}
	step = max(step, a.length()/20)
	var list []tick
	for at := time.Duration(0); at <= a.length(); at += step {
		text := Seconds(at).String()
		if at > 0 && at < 10*time.Second && at%time.Second == 0 {
			text = fmt.Sprintf("%d s", at/time.Second)
		}
		list = append(list, tick{X: a.x(a.from.Add(at)), Text: text})
	}
	return list
}

// addRows draws the fleet's own steps first, then one row per server, and returns where it ends.
func (c *chart) addRows(r Receipt, a axis, y float64) float64 {
	const tall, low = 30, 19
	height := float64(tall)
	if len(r.Servers) > 24 {
		height = low
	}
	add := func(row chartRow) {
		row.Y, row.Height, row.TextY = y, height, y+height/2+4
		row.Shade = len(c.Rows)%2 == 1
		c.Rows = append(c.Rows, row)
		y += height
	}
	fleet := chartRow{Name: "fleet"}
	for _, s := range r.Steps {
		if s.Server == "" && s.Kind != segue.StepFinalize {
			fleet.Steps = append(fleet.Steps, c.stepBox(r, s, a, y+height/2-6, 12))
		}
	}
	fleet.Marks = c.marks(r, a, "", y+5)
	if len(fleet.Steps)+len(fleet.Marks) > 0 {
		add(fleet)
	}
	for i, server := range r.Servers {
		if i == serverLimit {
			c.More = len(r.Servers) - serverLimit
			break
		}
		row := chartRow{Name: string(server.Name)}
		for _, span := range server.Spans {
			row.Spans = append(row.Spans, c.spanBox(r, span, a, y+4, height-13))
		}
		for _, s := range r.Steps {
			if s.Server == server.Name {
				row.Steps = append(row.Steps, c.stepBox(r, s, a, y+height-8, 5))
			}
		}
		row.Marks = c.marks(r, a, server.Name, y+4)
		add(row)
	}
	return y
}

func (c *chart) spanBox(r Receipt, span Span, a axis, y, h float64) box {
	b := box{X: a.x(span.From), Y: y, H: h, Class: "r-" + releaseClass(r, span.Release)}
	b.W = max(1, a.x(span.To)-b.X)
	b.Title = fmt.Sprintf("%s for %s", span.Release, Seconds(span.To.Sub(span.From)))
	if span.Down {
		b.Class = "r-down"
		b.Title = fmt.Sprintf("%s down for %s", span.Release, Seconds(span.To.Sub(span.From)))
		return b
	}
	if h >= 14 && b.W > float64(14+7*len(span.Release)) {
		b.Text, b.TextX, b.TextY = string(span.Release), b.X+7, y+h/2+4
	}
	return b
}

func (c *chart) stepBox(r Receipt, s Step, a axis, y, h float64) box {
	b := box{X: a.x(s.Started), Y: y, H: h, Class: "k-" + stepClass(s)}
	b.W = max(1.5, a.x(s.Ended)-b.X)
	b.Title = fmt.Sprintf("%s: %s, %s", r.where(s.Plan, s.ID), s.Status, s.Duration)
	return b
}

func stepClass(s Step) string {
	if s.Status == StepFailed {
		return "failed"
	}
	switch s.Kind {
	case segue.StepDrain:
		return "drain"
	case segue.StepStop:
		return "stop"
	case segue.StepStart, segue.StepAwaitReady:
		return "boot"
	case segue.StepAdmit, segue.StepWeigh:
		return "admit"
	case segue.StepObserve:
		return "observe"
	case segue.StepApprove, segue.StepHold, segue.StepMaintenance:
		return "wait"
	case segue.StepExpand, segue.StepBackfill, segue.StepContract:
		return "database"
	default:
		return "other"
	}
}

// marks are the failed requests of one server; of none for failures without one.
func (c *chart) marks(r Receipt, a axis, server segue.ServerName, y float64) []mark {
	if r.Traffic == nil {
		return nil
	}
	var list []mark
	lastX := -10.0
	for _, f := range r.Traffic.Listed {
		if f.Server != server || len(list) == markLimit {
			continue
		}
		x := a.x(f.At)
		if x-lastX < 1.5 {
			continue
		}
		lastX = x
		list = append(list, mark{
			Points: fmt.Sprintf("%.1f,%.1f %.1f,%.1f %.1f,%.1f %.1f,%.1f", x, y-4, x+4, y, x, y+4, x-4, y),
			Title:  fmt.Sprintf("%s at %s: %s %s", f.Cause, f.At.UTC().Format("15:04:05.000"), f.Method, f.Path),
		})
	}
	return list
}

// addPlots draws requests per second, failures and p99 over the same time.
func (c *chart) addPlots(r Receipt, a axis, y float64) float64 {
	if len(r.Series) < 2 {
		return y
	}
	const height, gap = 46, 22
	var rates, p99s, failures []float64
	for _, p := range r.Series {
		span := max(p.To.Sub(p.From).Seconds(), 1e-3)
		rates = append(rates, float64(p.Requests)/span)
		failures = append(failures, float64(p.Failed))
		value := -1.0
		if p.P99 != nil {
			value = float64(*p.P99)
		}
		p99s = append(p99s, value)
	}
	top := func(values []float64) float64 {
		most := 0.0
		for _, v := range values {
			most = max(most, v)
		}
		return most
	}
	curve := func(name, class, most string, values []float64) {
		p := plot{Name: name, Class: class, Most: most, Y: y, H: height, TextY: y + 11, BaseY: y + height, TopY: y}
		p.Line, p.Area = path(r.Series, values, a, band{y, height, 1.12 * top(values)})
		c.Plots = append(c.Plots, p)
		y += height + gap
	}
	curve("requests/s", "rate", "max "+figureOf(top(rates)), rates)
	if most := top(failures); most > 0 {
		p := plot{Name: "failed", Class: "fail", Most: "max " + count(int64(most)), Y: y, H: height, TextY: y + 11, BaseY: y + height, TopY: y}
		for i, n := range failures {
			if n > 0 {
				from, to := a.x(r.Series[i].From), a.x(r.Series[i].To)
				h := max(2, round(height*n/most))
				p.Bars = append(p.Bars, box{X: from, W: max(2, to-from), Y: y + height - h, H: h, Title: plural(int64(n), "failed request")})
			}
		}
		c.Plots = append(c.Plots, p)
		y += height + gap
	}
	if most := top(p99s); most > 0 {
		curve("p99", "p99", "max "+Seconds(most).String(), p99s)
	}
	return y - gap + 8
}

// band is where a curve is drawn, and the value at its top.
type band struct{ y, height, most float64 }

// path draws values as steps, each over its own time, because that is what they are: counts between two samples. A value below 0 is a gap.
func path(series []Point, values []float64, a axis, b band) (line, area string) {
	if b.most <= 0 {
		b.most = 1
	}
	var lines, areas strings.Builder
	pen := "M"
	for i, p := range series {
		from, to := a.x(p.From), a.x(p.To)
		if values[i] < 0 || to <= from {
			pen = "M"
			continue
		}
		base := b.y + b.height
		at := round(base - b.height*values[i]/b.most)
		fmt.Fprintf(&lines, "%s%.1f %.1f L%.1f %.1f ", pen, from, at, to, at)
		fmt.Fprintf(&areas, "M%.1f %.1f L%.1f %.1f L%.1f %.1f L%.1f %.1f Z ", from, base, from, at, to, at, to, base)
		pen = "L"
	}
	return strings.TrimSpace(lines.String()), strings.TrimSpace(areas.String())
}

func (c *chart) addLegend(r Receipt) {
	if r.From != "" && r.From != r.To {
		c.Legend = append(c.Legend, legendItem{"r-stable", string(r.From)})
	}
	c.Legend = append(c.Legend, legendItem{"r-candidate", cmp.Or(string(r.To), "candidate")})
	words := map[string]string{
		"drain": "drain", "stop": "stop", "boot": "boot", "admit": "admit", "observe": "observe", "wait": "wait", "failed": "failed step",
	}
	for _, class := range []string{"drain", "stop", "boot", "admit", "observe", "wait", "failed"} {
		for _, s := range r.Steps {
			if stepClass(s) == class {
				c.Legend = append(c.Legend, legendItem{"k-" + class, words[class]})
				break
			}
		}
	}
	if r.Traffic != nil && len(r.Traffic.Listed) > 0 {
		c.Legend = append(c.Legend, legendItem{"mark", "failed request"})
	}
}
