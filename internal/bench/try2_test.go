package bench
import "github.com/segue-deploy/segue/internal/strategy"
func strategyPlan(r strategy.Request){ _,_=strategy.Plan(r)}
