package spec

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/segue-deploy/segue"
)

// choice is a value out of a closed set.
type choice interface {
	// choices gives the words that work, and those that are known and not supported by this version.
	choices() (known, later []string)
}

// choose sets a choice, and complains about what is none.
func choose[T interface {
	~string
	choice
}](noun, text string, into *T) error {
	known, later := (*into).choices()
	switch {
	case slices.Contains(known, text):
		*into = T(text)
		return nil
	case slices.Contains(later, text):
		return hinted("this version has "+list(known), "%s %q is not supported by this version", noun, text)
	}
	return hinted(didYouMean(text, known), "%s %q is not known", noun, text)
}

// ordered is a mapping whose order counts.
type ordered[T any] struct {
	keys   []string
	values map[string]*T
}

func (o *ordered[T]) readNode(d *decoder, n *yaml.Node, path string) {
	if n.Kind != yaml.MappingNode {
		d.fault(path, "", "%s must be a mapping, not %s", path, kindOf(n))
		return
	}
	o.values = map[string]*T{}
	for _, p := range pairs(n, path, &d.faultList) {
		key := resolve(p.key).Value
		value := new(T)
		d.keyAt[join(path, key)] = placeOf(p.key)
		d.decode(p.value, join(path, key), reflect.ValueOf(value).Elem())
		o.keys, o.values[key] = append(o.keys, key), value
	}
}

// batch is a number of servers or a percentage of them.
type batch segue.Batch

func (b *batch) parseText(text string) error {
	var c count
	if err := c.parseText(text); err != nil {
		return err
	}
	*b = batch{Servers: c.servers, Percent: c.percent}
	return nil
}

// count is a number, at least 1, or a whole percentage from 1 to 100. The zero value is unset.
type count struct{ servers, percent int }

// IsZero is for the omitzero tag.
func (c count) IsZero() bool { return c == count{} }

func (c *count) parseText(text string) error {
	digits, isPercent := strings.CutSuffix(text, "%")
	value, err := strconv.Atoi(digits)
	switch {
	case err != nil:
		return hinted("write it like 2 or 25%", "%q is neither a number nor a percentage", text)
	case value < 1:
		return hinted("", "%q is less than 1", text)
	case isPercent && value > 100:
		return hinted("", "%q is more than 100%%", text)
	case isPercent:
		c.percent = value
	case value > serverLimit:
		return hinted("", "%q is more than %d", text, serverLimit)
	default:
		c.servers = value
	}
	return nil
}

// of gives the count out of n, at least 1: percentages are rounded down.
func (c count) of(n int) int {
	if c.percent > 0 {
		return max(1, n*c.percent/100)
	}
	return max(1, c.servers)
}

// percent is a share in [0,1], written "1%".
type percent float64

func (p *percent) parseText(text string) error {
	share, err := ParsePercent(text)
	*p = percent(share)
	return err
}

// Size is a number of bytes, written "64KiB" or "10MB".
type Size int64

func (s *Size) parseText(text string) error {
	size, err := ParseSize(text)
	*s = Size(size)
	return err
}

// Rate is so many per second, written "50/s", "300/m" or "10/h".
type Rate float64

func (r *Rate) parseText(text string) error {
	rate, err := ParseRate(text)
	*r = Rate(rate)
	return err
}

// serverLimit bounds the servers of a service.
const serverLimit = 10_000

// servers is written as a number, as names, or as names with partitions.
type servers struct {
	// count is set for a number; list otherwise.
	count int
	list  []server
}

type server struct {
	Name      string `json:"name" jsonschema:"name of the server"`
	Partition string `json:"partition,omitempty" jsonschema:"group of servers that it is rolled with"`
}

// IsZero says whether there are none.
func (s servers) IsZero() bool { return s.count == 0 && len(s.list) == 0 }

func (s *servers) readNode(d *decoder, n *yaml.Node, path string) {
	switch n.Kind {
	case yaml.ScalarNode:
		text, ok := d.scalar(n, path)
		if !ok {
			return
		}
		value, err := strconv.Atoi(text)
		switch {
		case err != nil:
			err = hinted("write a number, or a list like [web-1, web-2]", "%q is no number of servers", text)
		case value < 1:
			err = hinted("a service needs at least one", "%q servers", text)
		case value > serverLimit:
			err = hinted("", "%q servers, of %d at most", text, serverLimit)
		}
		d.check(n, path, err)
		if err == nil {
			s.count = value
		}
	case yaml.SequenceNode:
		if len(n.Content) == 0 {
			d.fault(path, "a service needs at least one", "%s is an empty list", path)
		}
		s.list = make([]server, len(n.Content))
		for i, child := range n.Content {
			into := reflect.ValueOf(&s.list[i]).Elem()
			if resolve(child).Kind == yaml.ScalarNode {
				into = into.FieldByName("Name")
			}
			d.decode(child, item(path, i), into)
		}
	default:
		d.fault(path, "write a number, or a list like [web-1, web-2]", "%s must be a number or a list, not %s", path, kindOf(n))
	}
}

// switchable reads a block that may be switched on or off with a word.
func switchable(d *decoder, n *yaml.Node, path string, block any) (off bool) {
	if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
		var on toggle
		if err := on.parseText(d.text(n)); err != nil {
			d.check(n, path, hinted("write off, or a mapping", "%q is neither on, off nor a mapping", d.text(n)))
		}
		return !bool(on)
	}
	d.mapping(n, path, reflect.ValueOf(block).Elem())
	return false
}

func (j *errorsJudge) readNode(d *decoder, n *yaml.Node, path string) {
	j.off = switchable(d, n, path, &j.errorsBlock)
}

func (j *latencyJudge) readNode(d *decoder, n *yaml.Node, path string) {
	j.off = switchable(d, n, path, &j.latencyBlock)
}

func (j *logsJudge) readNode(d *decoder, n *yaml.Node, path string) {
	j.off = switchable(d, n, path, &j.logsBlock)
}

func (j *metricsJudge) readNode(d *decoder, n *yaml.Node, path string) {
	j.off = switchable(d, n, path, &j.metricsBlock)
}

// toggle is written on or off.
type toggle bool

func (t *toggle) parseText(text string) error {
	switch text {
	case "on", "true":
		*t = true
	case "off", "false":
		*t = false
	default:
		return hinted("write on or off", "%q is neither on nor off", text)
	}
	return nil
}

// budget is a share in (0,1), or off, which is 0.
type budget float64

func (b *budget) parseText(text string) error {
	if text == "off" || text == "false" {
		*b = 0
		return nil
	}
	share, err := ParsePercent(text)
	switch {
	case err != nil:
		return err
	case share == 0:
		return hinted("write a small one like 0.1%, or off", "%q leaves the judges nothing to decide with", text)
	case share == 1:
		return hinted("write a small one like 5%", "with a budget of %q every rollout might fail for nothing", text)
	}
	*b = budget(share)
	return nil
}

// signal is a signal's name without SIG; a file may have it with SIG.
type signal string

func (signal) choices() (known, later []string) {
	return []string{"TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "WINCH", "TSTP", "ABRT", "KILL"}, nil
}

func (s *signal) parseText(text string) error {
	return choose("signal", strings.TrimPrefix(text, "SIG"), s)
}
