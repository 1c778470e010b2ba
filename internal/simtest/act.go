package simtest

import (
	"context"
	"fmt"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/operator"
)

// act does one thing to the world.
func (p *play) act(ctx context.Context, act Act) {
	p.options.Log("%s", act)
	server := p.scenario.server(act.Server)
	switch act.Kind {
	case "order":
		if open := p.open(); open != nil {
			p.order(ctx, open.id, act.Order)
		}
	case "crash":
		if id, ok := p.runs(ctx, server); ok {
			p.servers.Crash(id)
		}
	case "sicken":
		p.sicken(ctx, server, act.For)
	case "stray":
		p.stray(server)
	case "outage":
		p.outage(server, act.For)
	case "join":
		p.joined++
		p.deploy(ctx, p.rolled(), nil)
	case "leave":
		if p.scenario.Servers+p.joined > 2 {
			p.deploy(ctx, p.rolled(), func(req *operator.DeployRequest) {
				req.Project.Text = p.scenario.File(p.joined, act.Server%p.scenario.Servers)
			})
		}
	case "deploy":
		p.deploy(ctx, act.Release, nil)
	case "queue":
		p.deploy(ctx, act.Release, func(req *operator.DeployRequest) { req.Queue = true })
	case "replace":
		p.deploy(ctx, act.Release, func(req *operator.DeployRequest) { req.Replace = true })
	}
}

// rolled is the release that is being rolled, or that was last.
func (p *play) rolled() segue.ReleaseName {
	release := segue.ReleaseName("v2")
	if open := p.open(); open != nil {
		p.record.mu.Lock()
		defer p.record.mu.Unlock()
		release = p.record.ledger.Services["web"].Open.Candidate.Name
	}
	return release
}

// runs finds what runs on a server.
func (p *play) runs(ctx context.Context, server segue.ServerName) (segue.InstanceID, bool) {
	instances, err := p.servers.List(ctx)
	if err != nil {
		return "", false
	}
	for _, instance := range instances {
		if instance.Server == server {
			return instance.ID, true
		}
	}
	return "", false
}

// sicken makes an instance unready for a time.
func (p *play) sicken(ctx context.Context, server segue.ServerName, most time.Duration) {
	if id, ok := p.runs(ctx, server); ok && p.servers.Sicken(id, true) {
		time.AfterFunc(most, func() { p.servers.Sicken(id, false) })
	}
}

// stray plants an instance that nobody's plan started.
func (p *play) stray(server segue.ServerName) {
	p.mu.Lock()
	p.calls["stray"]++
	id := segue.InstanceID(fmt.Sprintf("%s.v0.stray-%d", server, p.calls["stray"]))
	p.mu.Unlock()
	instance := segue.Instance{ID: id, Service: "web", Server: server, Release: "v0", State: segue.InstanceRunning, Address: "127.0.0.1:9"}
	p.servers.Plant(instance)
	p.record.started(instance, true)
}

// outage lets every call about a server fail for a time. Where it lasts longer than retries do, no way back is owed there.
func (p *play) outage(server segue.ServerName, most time.Duration) {
	p.mu.Lock()
	p.outages[server] = time.Now().Add(most)
	p.mu.Unlock()
	p.record.mu.Lock()
	p.record.beyond[server] = true
	p.record.mu.Unlock()
}
