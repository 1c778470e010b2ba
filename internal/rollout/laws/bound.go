package laws

import "github.com/segue-deploy/segue"

// BoundOf is the minimum that holds while a plan is carried out, worked out from the service and not from what the plan claims: the
// service's own; none behind a maintenance page or while nothing was ever deployed; one server less than there are on a way back that
// has no server to spare.
func BoundOf(service segue.Service, stable segue.Release, plan segue.Plan) int {
	surge := (service.Strategy.Surge || service.Strategy.Kind == segue.Parallel) && service.CanSurge && service.Balanced
	servers := len(service.Servers)
	switch {
	case stable.Name == "":
		return 0
	case plan.Strategy == segue.AllAtOnce && (plan.Goal == segue.GoalForward || plan.MinReady == 0):
		return 0
	case plan.Goal == segue.GoalBack && service.MinReady >= servers && (!surge || service.MinReady > servers):
		return max(0, servers-1)
	default:
		return service.MinReady
	}
}
