package templatetest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

func shop() []string {
	return []string{
		"INFO order {{int}} accepted for customer {{name}}", "INFO order {{int}} shipped to {{host}} in {{dur}}", "WARN payment provider answered late: {{dur}}, retry {{int}} of {{int}}", "ERROR payment of order {{int}} refused: card expired",
		"ERROR cannot reach inventory at {{url}}: connection refused", "INFO cache warmed with {{int}} items, {{size}}", "WARN queue depth {{int}} above high-water mark", "DEBUG lookup key {{hash}} hit", "DEBUG lookup key {{hash}} missed", "INFO sent confirmation to {{email}}",
		"ERROR token {{b64}} rejected by issuer {{url}}", "INFO feature {{name}} enabled for {{int}} users", "WARN slow query took {{dur}}: table scan", "INFO sessions expired: {{list}}", "ERROR migration {{int}} stopped, schema is ahead", "INFO worker idle {{emoji}} since {{date}}", "INFO listening on {{addr}}", "WARN discarded message {{map}}",
	}
}

// applications are the styles of programs' own logs.
func applications() []Style {
	return []Style{
		{Name: "json", events: shop(), wrap: func(v *values, s, message string) string {
			line, err := json.Marshal(map[string]any{"ts": v.now, "level": strings.ToLower(s), "logger": "shop", "msg": message, "trace_id": fmt.Sprintf("%x", v.bytes(8)), "n": v.IntN(99)})
			if err != nil {
				panic(err)
			}
			return string(line)
		}},
		{Name: "logfmt", events: shop(), wrap: func(v *values, s, message string) string {
			return fmt.Sprintf("time=%s level=%s msg=%s request_id=%x took=%dms", v.now.Format("2006-01-02T15:04:05Z"), s, strconv.Quote(message), v.bytes(6), v.IntN(99))
		}},
		{Name: "jvm", wrap: func(v *values, s, message string) string {
			line := fmt.Sprintf("%s [http-nio-8080-exec-%d] %-5s c.e.shop.%s - %s", v.now.Format("2006-01-02 15:04:05.000"), v.IntN(20), s, v.pick("Orders", "Orders", "Cart"), message)
			if strings.HasPrefix(message, "Unhandled") {
				line += fmt.Sprintf("\n\tat com.example.shop.Orders.load(Orders.java:%d)\n\tat com.example.shop.Web.lambda$run$%d(Web.java:%d)\n\tat java.base/java.lang.Thread.run(Thread.java:%d)\n\t... %d more", v.IntN(99), v.IntN(9), v.IntN(99), v.IntN(999), v.IntN(30))
			}
			return line
		}, events: []string{
			"INFO Started Application in {{float}} seconds (JVM running for {{float}})", "INFO Tomcat started on port(s): {{int}} (http) with context path ''", "INFO HikariPool-{{int}} - Start completed.", "WARN HikariPool-{{int}} - Connection is not available, request timed out after {{int}}ms.",
			"ERROR Unhandled java.lang.NullPointerException: order {{int}} is null", "ERROR Unhandled java.lang.IllegalStateException: cart {{uuid}} closed", "ERROR Unhandled java.sql.SQLTimeoutException: after {{int}} ms", "INFO Partition {{list}} assigned to consumer {{uuid}}", "INFO Partition {{list}} revoked from consumer {{uuid}}",
			"WARN Resolved [org.springframework.web.HttpRequestMethodNotSupportedException: Request method {{quoted}} not supported]", "INFO Bean {{quoted}} of type [com.example.{{name}}] is not eligible for auto-proxying", "INFO Shutting down ExecutorService {{quoted}}", "DEBUG Loaded {{int}} orders from {{path}} in {{dur}}", "DEBUG Fetching entity {{map}}", "INFO Cache {{quoted}} evicted {{int}} entries",
		}},
		{Name: "python", prefix: func(v *values, s string) string {
			return fmt.Sprintf("%s,%03d - %s - %s - ", v.now.Format("2006-01-02 15:04:05"), v.IntN(1000), "shop.views", s)
		}, events: shop()},
		{Name: "rails", prefix: func(v *values, s string) string {
			return fmt.Sprintf("%s, [%s #%d] %5s -- : [%x-7] ", letter(s), v.now.Format("2006-01-02T15:04:05.000000"), v.IntN(30000), s, v.bytes(4))
		}, events: []string{
			`INFO Started GET "{{path}}" for {{ip}} at {{date}}`, `INFO Started POST "{{path}}" for {{ip}} at {{date}}`, `INFO Processing by OrdersController#index as HTML`, `INFO Processing by OrdersController#create as JSON`, `INFO   Parameters: {"id"=>"{{int}}", "name"=>"{{name}}"}`, `INFO Completed 200 OK in {{int}}ms (Views: {{float}}ms | ActiveRecord: {{float}}ms | Allocations: {{int}})`,
			`INFO Completed 404 Not Found in {{int}}ms (ActiveRecord: {{float}}ms)`, `INFO Redirected to {{url}}`, `INFO   Rendered layout {{path}} (Duration: {{float}}ms | Allocations: {{int}})`, `DEBUG   Order Load ({{float}}ms)  SELECT orders WHERE id = {{int}}`, `FATAL ActionController::RoutingError (No route matches [GET] "{{path}}"):`, `FATAL ActiveRecord::RecordNotFound (Couldn't find Order with 'id'={{int}}):`,
			`INFO Enqueued MailJob (Job ID: {{uuid}}) to Sidekiq(mailers) with arguments: {{list}}`, `INFO Performed MailJob (Job ID: {{uuid}}) from Sidekiq(mailers) in {{float}}ms`, `WARN Can't verify CSRF token authenticity.`, `INFO Sent mail to {{email}} ({{float}}ms)`,
		}},
	}
}
