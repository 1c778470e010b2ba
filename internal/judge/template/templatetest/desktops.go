package templatetest

import "fmt"

// desktops are the styles of what people hold in their hands or sit before, and of older servers.
func desktops() []Style {
	return []Style{
		{Name: "android", prefix: func(v *values, s string) string {
			return fmt.Sprintf("%s %5d %5d %s %s: ", v.now.Format("01-02 15:04:05.000"), v.IntN(9999), v.IntN(9999), letter(s), v.pick("WindowManager", "PowerManagerService"))
		}, events: []string{
			"DEBUG grab lock={{int}}, flags={{hex}}, tag={{quoted}}, name={{bundle}}, ws=null, uid={{int}}", "DEBUG drop lock={{int}}, flags={{hex}}, tag={{quoted}}, name={{bundle}}, ws=null, uid={{int}}", "INFO Hiding {{token}} -- it is behind", "INFO Showing {{token}} -- it is on top", "WARN Activity {{bundle}}/.ui.Main{{int}} did not draw in {{dur}}",
			"INFO Surface bounds=Rect({{int}}, {{int}} - {{int}}, {{int}}) scale={{float}}", "ERROR Uid {{int}} of {{bundle}} may not hold android.permission.{{state}}", "DEBUG ready={{bool}},policy={{int}},wakefulness={{int}},summary={{hex}},adj={{float}}", "INFO onTouch::{{int}}, x={{float}}, y={{float}}", "INFO relayout of {{token}}, called by {{frames}}", "DEBUG blocked by {{bundle}} for +{{int}}s{{int}}ms",
			"INFO Waking up from sleep (uid {{int}})...", "INFO Going to sleep due to screen timeout (uid {{int}})...", "ERROR Failure getting entry for {{hex}} (t={{int}} e={{int}}) (error {{neg}})",
		}},
		{Name: "mac", prefix: func(v *values, _ string) string {
			return fmt.Sprintf("%s %s %s[%d]: ", v.now.Format("Jan _2 15:04:05"), v.pick("visitor-10-105-160-95", "annasMacBook-Pro", "visitor-10-105-162-"+fmt.Sprint(v.IntN(256))), "kernel", v.IntN(3))
		}, events: []string{
			"INFO AirPort: Carrier up on en{{int}}", "INFO AirPort: Carrier down on awdl{{int}}. Reason {{int}} (Unspecified).", "INFO Sandbox: {{bundle}}({{int}}) deny(1) network-outbound {{path}}", "INFO Sandbox: {{bundle}}({{int}}) deny(1) file-read-data {{path}}", "INFO ARPT: {{float}}: wl0: Roamed to channel {{int}}, reason #{{int}}, bssid {{mac}}, last RSSI {{neg}}", "INFO ARPT: {{float}}: Bus::platformWake: WWEN[enabled]",
			"INFO ARPT: {{float}}: Bus::platformWake: WWEN[disabled]", "WARN {{bundle}}: evaluator told me to run this job; however, the start time isn't for {{int}} seconds.  Ignoring.", "INFO PM response took {{int}} ms ({{int}}, powerd)", "INFO Switch<{{int}}>({{hex}})::listener - hot plug packet for route = {{hex}} port = {{int}} unplug = {{int}}", "INFO USBMSC Identifier (non-unique): {{big}} {{hex}} {{hex}} {{hex}}, {{int}}",
			"ERROR process {{name}}[{{int}}] caught causing excessive wakeups. Observed wakeups rate (per sec): {{int}}; Maximum permitted: {{int}}", "WARN BTLE device gone with hash <{{hexes}}>", "ERROR Error Domain={{bundle}} Code={{neg}} {{quoted}} UserInfo={NSDescription={{name}}}",
		}},
		{Name: "proxy", prefix: func(v *values, _ string) string {
			return fmt.Sprintf("[%s] %s - %s:%d ", v.now.Format("01.02 15:04:05"), v.pick("browser.exe", "mail.exe", "sync.exe *64", "Telegram"), v.host(), v.IntN(9999))
		}, events: []string{
			"INFO opened through proxy {{userhost}} HTTPS", "INFO closed, {{bytes}} sent, {{bytes}} received, lifetime {{life}}", "ERROR Could not connect through proxy {{userhost}} - proxy refused with status {{int}}", "ERROR Could not connect through proxy {{userhost}} - connection timed out", "INFO matching Localhost rule: direct connection", "WARN resolving {{host}} took {{dur}}, direct",
			"INFO reused, {{bytes}} pending", "WARN throttled to {{size}} per second, {{frac}}",
		}},
		{Name: "apache", prefix: func(v *values, s string) string {
			return fmt.Sprintf("[%s] [%s] ", v.now.Format("Mon Jan 02 15:04:05 2006"), map[string]string{"INFO": "notice", "ERROR": "error", "WARN": "warn"}[s])
		}, events: []string{
			"ERROR [client {{ip}}] Directory index forbidden by rule: {{path}}", "ERROR [client {{ip}}] File does not exist: {{path}}", "ERROR [client {{ip}}] script not found or unable to stat: {{path}}", "INFO env.init() ok {{path}}", "ERROR mod_x child env in error state {{int}}", "INFO x2.init() found child {{int}} in scoreboard slot {{int}}",
			"ERROR Can't find child {{int}} in scoreboard", "WARN child {{int}} still did not exit, sending a SIGTERM", "ERROR [client {{ip}}] request failed: URI too long (longer than {{int}})", "INFO caught SIGTERM, shutting down", "INFO resuming normal operations, {{int}} threads", "ERROR [client {{ip}}] user {{name}} not found: {{path}}",
		}},
		{Name: "linux", prefix: func(v *values, _ string) string {
			return fmt.Sprintf("%s %s ", v.now.Format("Jan _2 15:04:05"), host(v))
		}, events: []string{
			"INFO su(pam_unix)[{{int}}]: opened for user {{name}} by (uid={{int}})", "INFO su(pam_unix)[{{int}}]: closed for user {{name}}", "WARN sshd(pam_unix)[{{int}}]: login failed; logname= uid={{int}} euid={{int}} tty=NODEVssh ruser= rhost={{host}}  user={{name}}", "WARN sshd(pam_unix)[{{int}}]: check pass; nobody of that name", "INFO ftpd[{{int}}]: peer {{ip}} ({{host}}) at {{date}}",
			"INFO kernel: Normal zone: {{int}} pages, LIFO batch:{{int}}", "INFO kernel: BIOS-e820: {{hash}} - {{hash}} (usable)", "INFO kernel: BIOS-e820: {{hash}} - {{hash}} (reserved)", "INFO kernel: Table of inodes has {{int}} entries (order: {{int}}, {{int}} bytes)", "INFO kernel: Memory: {{int}}k/{{int}}k available ({{int}}k kernel code, {{int}}k reserved)",
			"INFO portmap: portmap startup succeeded", "INFO portmap: portmap shutdown succeeded", "ERROR logrotate: ALERT exited abnormally with [{{int}}]", "INFO udev[{{int}}]: creating device node '{{path}}'", "INFO udev[{{int}}]: removing device node '{{path}}'", "WARN snmpd[{{int}}]: Received packet(s) from {{ip}}", "INFO named[{{int}}]: zone question has no SOA",
		}},
	}
}
