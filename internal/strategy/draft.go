package strategy

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/segue-deploy/segue"
)

// draft is a plan in the making.
type draft struct {
	request Request
	plan    segue.Plan
	// surge is true where new instances start beside old ones.
	surge bool

	// sites are the service's servers in order, with what is on them; partitions the same, cut by partition in rolling order;
	// leavers the slots of servers that left the service and still run something.
	sites      []segue.Slot
	partitions [][]segue.Slot
	leavers    []segue.Slot

	// trial is true until the candidate's first instance has been written, where that gets copies of requests before it gets its own; admitted is then
	// the step that lets it have them.
	trial    bool
	admitted segue.StepID

	// observations counts those that the plan has or leaves out as done.
	observations int
	// kept lists the servers that are left alone.
	kept []segue.ServerName
}

func newDraft(request Request) (*draft, error) {
	service := request.Service
	switch kind := service.Strategy.Kind; kind {
	case "", segue.Rolling, segue.AllAtOnce, segue.Parallel:
	default:
		return nil, segue.Errorf(segue.KindInvalid, "strategy %q is not known", kind).WithHint("use rolling, parallel or all-at-once")
	}
	wanted := service.Strategy.Surge || service.Strategy.Kind == segue.Parallel
	d := &draft{
		request: request,
		surge:   wanted && service.CanSurge && service.Balanced,
		plan: segue.Plan{
			Service: service.Name, Strategy: cmp.Or(service.Strategy.Kind, segue.Rolling), Goal: cmp.Or(request.Goal, segue.GoalForward),
			From: request.Stable.Name, To: request.Candidate.Name, Index: request.Fleet.Index, MinReady: service.MinReady,
			Work: request.Work,
		},
	}
	d.place()
	return d, d.checkScope()
}

// place matches the service's servers with the fleet's slots.
func (d *draft) place() {
	slots := make(map[segue.ServerName]int, len(d.request.Fleet.Slots))
	for i, slot := range d.request.Fleet.Slots {
		slots[slot.Server.Name] = i
	}
	servers := d.request.Service.Servers
	sizes := map[segue.PartitionName]int{}
	for _, server := range servers {
		sizes[server.Partition]++
	}
	at := map[segue.PartitionName]int{}
	d.sites = make([]segue.Slot, 0, len(servers))
	for _, server := range servers {
		var site segue.Slot
		if i, known := slots[server.Name]; known {
			site = d.request.Fleet.Slots[i]
			delete(slots, server.Name)
		}
		site.Server = server
		d.sites = append(d.sites, site)
		i, known := at[server.Partition]
		if !known {
			i = len(d.partitions)
			at[server.Partition] = i
			d.partitions = append(d.partitions, make([]segue.Slot, 0, sizes[server.Partition]))
		}
		d.partitions[i] = append(d.partitions[i], site)
	}
	for _, slot := range d.request.Fleet.Slots {
		if _, left := slots[slot.Server.Name]; left && (slot.Instance.ID != "" || slot.Beside != nil || len(slot.Strays) > 0) {
			d.leavers = append(d.leavers, slot)
		}
	}
}

func (d *draft) checkScope() error {
	if len(d.request.Servers) == 0 {
		return nil
	}
	known := make(map[segue.ServerName]bool, len(d.sites)+len(d.leavers))
	for _, site := range d.sites {
		known[site.Server.Name] = true
	}
	for _, site := range d.leavers {
		known[site.Server.Name] = true
	}
	for _, name := range d.request.Servers {
		if !known[name] {
			return segue.Errorf(segue.KindNotFound, "%s has no server %q", d.request.Service.Name, name).
				WithHint("`segue status` lists the servers")
		}
	}
	return nil
}

// reserve makes room for a plan that brings every server to a release, at once: a plan that grows step by step is copied over and over.
func (d *draft) reserve(release segue.ReleaseName) {
	const perServer, beside = 5, 16
	servers := len(d.leavers)
	for _, site := range d.sites {
		if d.task(site, release) != taskNone {
			servers++
		}
	}
	d.plan.Steps = make([]segue.Step, 0, perServer*servers+beside)
}

// add appends a step that runs after those given, and returns its number.
func (d *draft) add(step segue.Step, after ...segue.StepID) segue.StepID {
	step.ID = segue.StepID(len(d.plan.Steps) + 1)
	if len(after) > 0 {
		step.After = slices.Clone(after)
		slices.Sort(step.After)
		step.After = slices.Compact(step.After)
	}
	d.plan.Steps = append(d.plan.Steps, step)
	return step.ID
}

func (d *draft) note(format string, args ...any) {
	d.plan.Notes = append(d.plan.Notes, fmt.Sprintf(format, args...))
}

// instance names the copy of a release that this plan starts on a server.
func (d *draft) instance(server segue.ServerName, release segue.ReleaseName) segue.InstanceID {
	return segue.NewInstanceID(server, release, d.request.Rollout, d.request.Plan)
}

// carries says whether a site bears load, so that taking it out costs capacity.
func (d *draft) carries(site segue.Slot) bool {
	return site.Instance.ID != "" && site.Ready && (site.Rotation == segue.RotationIn || !d.request.Service.Balanced)
}

// whole says whether the plan is for every server.
func (d *draft) whole() bool { return len(d.request.Servers) == 0 }

// noteKept says which servers the plan leaves alone.
func (d *draft) noteKept(release segue.ReleaseName) {
	if len(d.kept) > 0 {
		d.note("%s %s %s already: left alone", names(d.kept), verb(len(d.kept), "runs", "run"), release)
	}
}

// names lists servers for people, the first few of many.
func names(servers []segue.ServerName) string {
	const most = 5
	var text []byte
	for i, server := range servers {
		switch {
		case i == most && len(servers) > most+1:
			return string(text) + " and " + strconv.Itoa(len(servers)-most) + " more"
		case i > 0:
			text = append(text, ", "...)
		}
		text = append(text, server...)
	}
	return string(text)
}

func verb(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// count gives "1 server", "4 servers".
func count(n int) string { return strconv.Itoa(n) + verb(n, " server", " servers") }

// all gives "the one server", "all 4 servers".
func all(n int) string {
	if n == 1 {
		return "its one server"
	}
	return "all " + count(n)
}
