package template_test

import (
	"testing"

	"github.com/segue-deploy/segue/internal/judge/template"
)

// stated are lines whose loggers say how bad they are, each in the form of a real one.
func stated() []struct {
	in   string
	want template.Severity
} {
	return append(statedInText(), statedInFields()...)
}

func statedInText() []struct {
	in   string
	want template.Severity
} {
	return []struct {
		in   string
		want template.Severity
	}{
		// Console loggers of frameworks.
		{"fail: Shop.Orders[12]\n      Payment was refused", template.Error},
		{"crit: Shop.Orders[12]", template.Fatal},
		{"dbug: Microsoft.Hosting.Lifetime[0]", template.Debug},
		{"warn: Shop.Cart[3] cart is stale", template.Warn},
		{"2026-01-02T03:04:05.678Z error: cannot reach inventory", template.Error},
		{"2026-01-02T03:04:05.678Z warn: slow", template.Warn},
		{"error: cannot reach inventory", template.Error},
		{"Error: connect ECONNREFUSED 10.0.0.1:5432", template.Error},
		{"npm ERR! code ENOENT", template.Error},
		{"ERRO[0012] could not pull image", template.Error},
		{"FATA[0012] gone", template.Fatal},
		{"10:20AM ERR cannot bind port", template.Error},
		{"2026/01/02 15:04:05 WARN disk is nearly full", template.Warn},
		{"[10:20:30 ERR] unhandled", template.Error},
		{"[10:20:30 WRN] late", template.Warn},
		{"2026-01-02 10:20:30.123 +00:00 [FTL] gone", template.Fatal},
		{"2026-01-02 10:20:30.1234|ERROR|Shop.Orders|payment refused", template.Error},
		{"2026-01-02 10:20:30.123 | WARNING  | shop.cart:load:12 - stale", template.Warn},
		{"2026-01-02T10:20:30.123Z\terror\tshop\tshop/a.go:12\tpayment refused", template.Error},
		{"2026-01-02T10:20:30.123Z\tINFO\tshop\tfailed with error: timeout", template.Info},
		{"[2026-01-02T10:20:30Z ERROR shop::cart] stale", template.Error},
		{"2026-01-02T10:20:30.123456Z  WARN shop::cart: stale", template.Warn},
		{"thread 'main' panicked at src/main.rs:3:5:", template.Fatal},
		{"panic: runtime error: index out of range [3] with length 2", template.Fatal},
		{"fatal error: concurrent map writes", template.Fatal},
		{"E0102 03:04:05.678901   12 a.go:1] refused", template.Error},
		{"F20260102 03:04:05.678901   12 a.cc:1] gone", template.Fatal},
		{"W260102 03:04:05.678901 12 file.go:12  [-] slow", template.Warn},
		// JVM.
		{"2026-01-02 03:04:05.678 [http-nio-8080-exec-3] WARN  c.e.shop.Cart - stale", template.Warn},
		{"2026-01-02 03:04:05.678 ERROR 1234 --- [main] c.e.shop.Cart : refused", template.Error},
		{"02-Jan-2026 03:04:05.678 SEVERE [main] org.apache.catalina.core.StandardService.initInternal Failed", template.Error},
		{"WARNING: An illegal reflective access operation has occurred", template.Warn},
		{"17/06/09 20:10:40 ERROR executor.CoarseGrainedExecutorBackend: gone", template.Error},
		{"2015-07-29 19:04:29,071 - WARN  [SendWorker:188978561024:QuorumCnxManager$SendWorker@679] - leaving", template.Warn},
		{"081109 203518 143 INFO dfs.DataNode$DataXceiver: ok", template.Info},
		{"2026-01-02T03:04:05.678901Z main ERROR Unable to locate appender \"x\"", template.Error},
		{"Exception in thread \"main\" java.lang.NullPointerException", template.Error},
		{"[2026-01-02T03:04:05,678][ERROR][o.e.b.Bootstrap] [node-1] gone", template.Error},
		{"[2026-01-02T03:04:05,678][WARN ][o.e.c.Coordinator] late", template.Warn},
		{"<Jan 2, 2026 3:04:05,678 AM UTC> <Error> <JDBC> <BEA-001> refused", template.Error},
		{"03:04:05,678 WARN  [org.jboss.as.ee] (MSC service thread 1-2) late", template.Warn},
		// Python, Ruby, PHP, Erlang, Perl.
		{"ERROR:root:refused", template.Error},
		{"2026-01-02 03:04:05,678 - root - ERROR - refused", template.Error},
		{"root - CRITICAL - refused", template.Fatal},
		{"shop.cart - warning - stale", template.Warn},
		{"[2026-01-02 03:04:05,678: ERROR/MainProcess] Task failed", template.Error},
		{"[2026-01-02, 03:04:05 UTC] {taskinstance.py:1150} WARNING - stale", template.Warn},
		{"[2026-01-02 03:04:05,678] ERROR in app: Exception on /cart [GET]", template.Error},
		{"[2026-01-02 03:04:05 +0000] [7] [CRITICAL] WORKER TIMEOUT", template.Fatal},
		{"INFO:     10.0.0.1:5123 - \"GET /cart HTTP/1.1\" 500 Internal Server Error", template.Info},
		{"Traceback (most recent call last):", template.Error},
		{"ValueError: invalid literal for int()", template.Error},
		{"E, [2026-01-02T03:04:05.678901 #123] ERROR -- : refused", template.Error},
		{"W, [2026-01-02T03:04:05.678901 #123]  WARN -- : refused", template.Warn},
		{"PHP Fatal error:  Uncaught Exception: x in /srv/a.php:3", template.Fatal},
		{"PHP Warning:  Undefined variable $x in /srv/a.php on line 3", template.Warn},
		{"[02-Jan-2026 03:04:05 UTC] PHP Notice:  Undefined index", template.Info},
		{"[02-Jan-2026 03:04:05] WARNING: [pool www] server reached pm.max_children", template.Warn},
		{"03:04:05.678 [error] GenServer #PID<0.123.0> terminating", template.Error},
		{"=ERROR REPORT==== 2-Jan-2026::03:04:05 ===", template.Error},
		{"2026/01/02 03:04:05 ERROR> cart.pl:12 main:: - stale", template.Error},
		// Operating systems.
		{"Jan  2 03:04:05 web shop[123]: error: refused", template.Error},
		{"Jan  2 03:04:05 web postfix/smtpd[123]: warning: hostname x does not resolve", template.Warn},
		{"Jan  2 03:04:05 web sshd[123]: fatal: Write failed: Connection reset by peer", template.Fatal},
		{"Jan 02 03:04:05.678901 web shop.service[12]: <warning> late", template.Warn},
		{"Jan 02 03:04:05.678901 web shop.service[12]: <7> late", template.Debug},
		{"[12345.678901] shop: error: refused", template.Error},
		{"[12345.678901] BUG: unable to handle kernel paging request", template.Fatal},
		{"<11>Jan  2 03:04:05 web shop: refused", template.Error},
		{"<132>1 2026-01-02T03:04:05Z web shop 12 - - ERROR: refused", template.Error},
		{"<30>1 2026-01-02T03:04:05Z web shop 12 - - served", template.Info},
		{"03-17 16:13:38.811  1702  2395 E WindowManager: gone", template.Error},
		{"03-17 16:13:38.811  1702  2395 I chatty  : uid=1000 expire 2 lines", template.Info},
		{"E/ActivityManager( 1702): ANR", template.Error},
		{"W/Binder: late", template.Warn},
		{"2016-09-28 04:30:30, Error                 CBS    Failed to get next element", template.Error},
		{"2016-09-28 04:30:30, Info                  CBS    Loaded", template.Info},
		{"- 1117838570 2005.06.03 R02-M1-N0-C:J12-U11 2005-06-03-15.42.50.675872 R02-M1-N0-C:J12-U11 RAS KERNEL FATAL data storage interrupt", template.Fatal},
		{"- 1117838570 2005.06.03 R02-M1-N0-C:J12-U11 2005-06-03-15.42.50.675872 R02-M1-N0-C:J12-U11 RAS KERNEL INFO instruction cache parity error corrected", template.Info},
		{"[   12.345] (EE) no screens found", template.Error},
		// Servers and databases.
		{"2026/01/02 03:04:05 [crit] 12#12: *3 connect() failed", template.Fatal},
		{"[Fri Jan 02 03:04:05.678901 2026] [core:error] [pid 12:tid 34] [client 10.0.0.1:5123] AH00126: Invalid URI", template.Error},
		{"[Fri Jan 02 03:04:05 2026] [notice] workerEnv.init() ok", template.Info},
		{"[WARNING] 001/030405 (12) : Server shop/web1 is DOWN", template.Warn},
		{"[ALERT]    (1) : sendmsg logger failed", template.Fatal},
		{"2026-01-02 03:04:05.678 UTC [12] app@shop ERROR:  deadlock detected", template.Error},
		{"2026-01-02 03:04:05.678 UTC [12] LOG:  checkpoint starting: time", template.Info},
		{"2026-01-02 03:04:05 UTC PANIC:  could not write to file", template.Fatal},
		{"2026-01-02T03:04:05.678901Z 12 [ERROR] [MY-013183] [InnoDB] Assertion failure", template.Error},
		{"2026-01-02T03:04:05.678901Z 12 [Note] InnoDB: ready", template.Info},
		{"2026-01-02T03:04:05.678+0000 E  NETWORK  [conn12] refused", template.Error},
		{"2026-01-02T03:04:05.678+0000 I  NETWORK  [conn12] ended", template.Info},
		{"12:M 02 Jan 2026 03:04:05.678 # WARNING overcommit_memory is set to 0!", template.Warn},
		{"12:M 02 Jan 2026 03:04:05.678 # Server initialized", template.Warn},
		{"12:M 02 Jan 2026 03:04:05.678 * Ready to accept connections", template.Info},
		{"[1] 2026/01/02 03:04:05.678901 [ERR] refused", template.Error},
		{"2026.01.02 03:04:05.678901 [ 12 ] {} <Error> TCPHandler: Code: 62", template.Error},
		{"[2026-01-02 03:04:05.678901] E [MSGID: 114058] [client.c:1:f] 0-vol: gone", template.Error},
		{"2026-01-02 03:04:05.678 2931 WARNING nova.compute.manager [req-1 - - -] late", template.Warn},
		{"2026-01-02 03:04:05.678901+0000: 123: error : virNetSocketReadWire:1 : End of file", template.Error},
		{"[1767348000] unbound[12:0] error: refused", template.Error},
		{"02-Jan-2026 03:04:05.678 general: error: zone x: not loaded", template.Error},
		{"2026-01-02 03:04:05.12 spid5s      Error: 17054, Severity: 16, State: 1.", template.Error},
		{"web_1  | 2026-01-02 03:04:05 ERROR refused", template.Error},
		{"2026-01-02T03:04:05.678901Z stderr F ERROR refused", template.Error},
		{"2026-01-02T03:04:05.678Z\t5f0b6d2e-1c1b-4a57-9f0e-0d8c3e1a2b3c\tERROR\trefused", template.Error},
	}
}

func statedInFields() []struct {
	in   string
	want template.Severity
} {
	return []struct {
		in   string
		want template.Severity
	}{
		{`ts=2026-01-02T03:04:05Z level=error msg="refused"`, template.Error},
		{`ts=2026-01-02T03:04:05Z caller=a.go:1 lvl=warn component=cart n=1`, template.Warn},
		{`severity=ERROR code=7 path=/cart`, template.Error},
		{`2026-01-02T03:04:05Z level=error refused`, template.Error},
		{`[level=error] refused`, template.Error},
		{`{"@timestamp":"2026-01-02","log.level":"ERROR","message":"refused"}`, template.Error},
		{`{"@timestamp":"2026-01-02","message":"refused","log":{"level":"error","logger":"cart"}}`, template.Error},
		{`{"log":{"level":"warn"},"message":"late"}`, template.Warn},
		{`{"@level":"error","@message":"refused","@module":"cart"}`, template.Error},
		{`{"level":50,"time":1767348000000,"pid":12,"msg":"refused"}`, template.Error},
		{`{"level":30,"time":1767348000000,"pid":12,"msg":"error: none left"}`, template.Info},
		{`{"levelname":"WARNING","name":"root","message":"late"}`, template.Warn},
		{`{"levelno":50,"message":"gone"}`, template.Fatal},
		{`{"level":400,"level_name":"ERROR","message":"refused"}`, template.Error},
		{`{"level":300,"channel":"app","message":"late"}`, template.Warn},
		{`{"t":{"$date":"2026-01-02T03:04:05Z"},"s":"E","c":"NETWORK","id":1,"ctx":"conn1","msg":"refused"}`, template.Error},
		{`{"t":{"$date":"2026-01-02T03:04:05Z"},"s":"D2","c":"NETWORK","id":1,"ctx":"conn1","msg":"refused"}`, template.Debug},
		{`{"PRIORITY":"3","MESSAGE":"refused","_PID":"12"}`, template.Error},
		{`{"PRIORITY":"6","MESSAGE":"2026-01-02 03:04:05 ERROR refused"}`, template.Error},
		{`{"severityNumber":17,"body":{"stringValue":"refused"}}`, template.Error},
		{`{"severityText":"WARN","body":"late"}`, template.Warn},
		{`{"text":"x","record":{"level":{"icon":"!","name":"ERROR","no":40},"message":"refused"}}`, template.Error},
		{`{"Timestamp":"2026","Level":"Fatal","MessageTemplate":"x","Message":"gone"}`, template.Fatal},
		{`{"LogLevel":"Critical","Category":"Shop","Message":"gone"}`, template.Fatal},
		{`{"version":"1.1","host":"web","short_message":"refused","level":3}`, template.Error},
		{`{"log":"{\"severity\":\"ERROR\",\"message\":\"refused\"}\n","stream":"stdout"}`, template.Error},
		{`{"log":"2026-01-02 03:04:05 WARN late\n","stream":"stderr"}`, template.Warn},
		{`{"severity":"INFO","message":"ERROR: was on an earlier line"}`, template.Info},
	}
}

func TestStatedSeverityIsRead(t *testing.T) {
	t.Parallel()
	for _, test := range stated() {
		if _, line := mask(t, test.in); line.Severity != test.want {
			t.Errorf("%s: %s, want %s", test.in, line.Severity, test.want)
		}
	}
}

func TestProseIsNoSeverity(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"0 errors",
		"12345 connections open",
		"17423 rows read",
		"errors=0",
		"errors: 0",
		"error: none",
		"error: 0",
		"error rate 0.1",
		"no error",
		"no ERROR in the last hour",
		"3 ERROR lines found",
		"found 3 ERROR lines",
		"retry after error: none",
		"2026-01-02 03:04:05 retry after error: none",
		"2026-01-02 03:04:05 request failed: error: timeout",
		"2026-01-02 03:04:05 call failed with error: timeout",
		"2026-01-02 03:04:05 error rate is 0.1",
		"2026-01-02 03:04:05 warning lights are on",
		"2026-01-02 03:04:05 fatal errors: 0",
		"2026-01-02 03:04:05 user pressed the ERROR button",
		"Jan  2 03:04:05 web shop[12]: served the error page",
		"Jan  2 03:04:05 web shop[12]: no error",
		"Jan  2 03:04:05 web shop[12]: last error: timeout",
		"GET /error 200",
		"GET /api/v1/ERROR 200",
		"https://example.com/error?level=fatal fetched",
		"ErrorHandler: started",
		"com.example.ErrorHandler: started",
		"2026-01-02 03:04:05 [ErrorHandler] started",
		"2026-01-02 03:04:05 com.example.web.ErrorHandler - started",
		"error-handler: ok",
		"error_log: rotated",
		"ERROR_COUNT=0 OK_COUNT=12",
		"error.log was rotated",
		"warning_count=0",
		"changed log level=debug for shop",
		"critical section was entered",
		"panic button pressed",
		"alert rules reloaded",
		"[no error] done",
		"[errors: 0] done",
		"checked [x] and [error] pages in order, got error",
		"the last message was \"ERROR: timeout\"",
		"\"ERROR\" is what it said",
		"received ERROR from peer",
		"Emergency contact updated",
		"I am here",
		"2026-01-02 03:04:05 I am here",
		"I/O error rate 0.1",
		"E1234 is the code of the part",
		"debugging was switched off",
		"info desk opened",
		"10.0.0.1 - bob [02/Jan/2026:03:04:05 +0000] done",
		"fatal=false critical=0",
		"Log rotation finished",
		"LOG rotation finished",
		"warn-threshold: 80",
		"user error, try again",
		"{\"battery\":{\"level\":50},\"message\":\"charged\"}",
		"{\"errors\":0,\"msg\":\"batch done, no errors\"}",
		"{\"s\":\"open\",\"message\":\"valve\"}",
	} {
		if _, line := mask(t, in); line.Severity != template.Unknown {
			t.Errorf("%s: %s, want none", in, line.Severity)
		}
	}
}
