package strategy_test

import (
	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/strategy"
)

// Work that a database may need.
var (
	adds   = segue.Work{Database: "main", Change: "0002#1", Kind: segue.StepExpand, Title: "add column customers.first_name"}
	fills  = segue.Work{Database: "main", Change: "0002#3", Kind: segue.StepBackfill, Title: "fill customers.first_name", Why: "about 1,000,000 rows"}
	drops  = segue.Work{Database: "main", Change: "0003#1", Kind: segue.StepContract, Title: "drop column customers.name"}
	breaks = segue.Work{
		Database: "main", Change: "0004#1", Kind: segue.StepExpand, Title: "rename value 'new' of order_state", Breaking: true,
		Why: "v1 writes it", Split: "add the new value in v2, move the rows, leave the old one",
	}
)

func closing(work segue.Work) segue.Work {
	work.Closes = "v1 needs what is gone then"
	return work
}

func databases(work ...segue.Work) option {
	return func(r *strategy.Request) { r.Work = work }
}

func nothing(r *strategy.Request) {
	r.Stable = segue.Release{}
	r.Fleet.Slots = nil
}
