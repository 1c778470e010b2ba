package bench
import ("testing";"os";"strconv")
func TestTryFleet(t *testing.T){ tab:=&Table{Log:os.Stdout}; s:=FleetSizes(os.Getenv("Q")!=""); if n,_:=strconv.Atoi(os.Getenv("N"));n>0{s=[]int{n}}; if err:=Fleets(t.Context(),tab,s);err!=nil{t.Fatal(err)}; if os.Getenv("N")==""{tab.Print(os.Stdout)}}
func BenchmarkPlan(b *testing.B){ n,_:=strconv.Atoi(os.Getenv("N")); r:=planRequest(n); b.ReportAllocs(); for b.Loop(){ strategyPlan(r)}}
func BenchmarkRoll(b *testing.B){ n,_:=strconv.Atoi(os.Getenv("N")); b.ReportAllocs(); for b.Loop(){ if _,_,err:=rollFleet(b.Context(),n,false);err!=nil{b.Fatal(err)}}}
