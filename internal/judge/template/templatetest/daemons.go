package templatetest

import "fmt"

// daemons are the styles of servers and operating systems.
func daemons() []Style {
	return append(servers(), systems()...)
}

func servers() []Style {
	return []Style{
		{Name: "access", prefix: func(v *values, _ string) string {
			return fmt.Sprintf(`%s - %s [%s] `, v.ip(), v.pick("-", v.name()), v.now.Format("02/Jan/2006:15:04:05 -0700"))
		}, events: []string{
			`INFO "GET {{path}} HTTP/1.1" 200 {{int}} "{{url}}" "Mozilla/5.0 (X11; Linux x86_64) Firefox/12{{int}}"`,
			`INFO "POST {{path}}?a={{int}} HTTP/1.1" 201 {{int}} "-" "curl/8.{{int}}"`,
			`INFO "HEAD {{path}} HTTP/1.1" 304 0 "-" "kube-probe/1.2{{int}}"`,
			`INFO "DELETE {{path}} HTTP/2.0" 204 - "-" "okhttp/4.1"`,
			`INFO "PUT {{path}} HTTP/1.1" 200 {{int}} "{{url}}" "Mozilla/5.0 (Windows NT 10.0)"`,
			`INFO "OPTIONS {{path}} HTTP/1.1" 200 {{int}} "-" "Go-http-client/1.1"`,
			`ERROR "GET {{path}} HTTP/1.1" 503 {{int}} "{{url}}" "Mozilla/5.0 (X11)"`,
			`ERROR "POST {{path}} HTTP/1.1" 500 {{int}} "-" "curl/8.{{int}}"`,
		}},
		{Name: "syslog", prefix: syslog("sshd"), events: []string{
			"INFO Accepted password for {{name}} from {{ip}} port {{int}} ssh2", "WARN Failed password for {{name}} from {{ip}} port {{int}} ssh2",
			"WARN Failed password for invalid user {{name}} from {{ip}} port {{int}} ssh2", "INFO Received disconnect from {{ip}}: 11: Bye Bye [preauth]",
			"INFO pam_unix(sshd:session): session opened for user {{name}} by (uid={{int}})", "INFO pam_unix(sshd:session): session closed for user {{name}}",
			"WARN reverse mapping checking getaddrinfo for {{host}} [{{ip}}] failed - POSSIBLE BREAK-IN ATTEMPT!", "INFO Connection closed by {{ip}} [preauth]",
			"ERROR error: maximum authentication attempts exceeded for {{name}} from {{ip}} port {{int}} ssh2 [preauth]", "INFO Server listening on {{ip}} port {{int}}.",
			"WARN Did not receive identification string from {{ip}}", "ERROR fatal: Write failed: Connection reset by peer", "INFO Starting session: shell on pts/{{int}} for {{name}} from {{ip}} port {{int}}",
			"WARN authentication failure; logname= uid={{int}} euid={{int}} tty=ssh ruser= rhost={{host}} user={{name}}", "INFO Exiting on signal {{int}}", "WARN Bad protocol version identification {{quoted}} from {{ip}}",
		}},
	}
}

func systems() []Style {
	return []Style{
		{Name: "kernel", prefix: func(v *values, _ string) string { return fmt.Sprintf("[%12.6f] ", v.Float64()*1e6) }, events: []string{
			"INFO eth{{int}}: link up, {{int}} Mbps, full-duplex", "INFO eth{{int}}: link down", "ERROR Out of memory: Killed process {{int}} ({{name}}) total-vm:{{int}}kB, anon-rss:{{int}}kB",
			"WARN EXT4-fs (sda{{int}}): mounted filesystem with ordered data mode. Opts: (null)", "ERROR EXT4-fs error (device sda{{int}}): ext4_find_entry:{{int}}: inode #{{int}}: comm {{name}}: reading directory lblock {{int}}",
			"INFO usb {{int}}-1: new high-speed USB device number {{int}} using xhci_hcd", "INFO usb {{int}}-1: USB disconnect, device number {{int}}", "WARN TCP: request_sock_TCP: Possible SYN flooding on port {{int}}. Sending cookies.",
			"ERROR blk_update_request: I/O error, dev sdb, sector {{big}}", "WARN CPU{{int}}: Core temperature above threshold, cpu clock throttled (total events = {{int}})", "INFO CPU{{int}}: Core temperature/speed normal",
			"ERROR INFO: task {{name}}:{{int}} blocked for more than {{int}} seconds.", "INFO IPv6: ADDRCONF(NETDEV_CHANGE): eth{{int}}: link becomes ready", "ERROR BUG: unable to handle kernel paging request at {{hex}}",
			"INFO audit: type={{int}} audit({{float}}:{{int}}): pid={{int}} uid={{int}} auid={{int}} ses={{int}}", "WARN nf_conntrack: table full, dropping packet", "INFO device {{mac}} entered promiscuous mode",
		}},
		{Name: "nginx", prefix: func(v *values, s string) string {
			return fmt.Sprintf("%s [%s] %d#%d: *%d ", v.now.Format("2006/01/02 15:04:05"), map[string]string{"INFO": "notice", "WARN": "warn", "ERROR": "error"}[s], v.IntN(9999), v.IntN(9), v.IntN(99999))
		}, events: []string{
			`ERROR connect() failed (111: Connection refused) while connecting to upstream, client: {{ip}}, server: {{host}}, request: "GET {{path}} HTTP/1.1", upstream: "{{url}}"`,
			`ERROR upstream timed out (110: Connection timed out) while reading response header from upstream, client: {{ip}}, server: {{host}}, request: "GET {{path}} HTTP/1.1"`,
			`ERROR open() "{{path}}" failed (2: No such file or directory), client: {{ip}}, server: {{host}}`, `WARN a client request body is buffered to a temporary file {{path}}, client: {{ip}}`,
			`ERROR client intended to send too large body: {{int}} bytes, client: {{ip}}`, `INFO signal process started`, `INFO gracefully shutting down`, `INFO start worker process {{int}}`,
			`ERROR no live upstreams while connecting to upstream, client: {{ip}}`, `ERROR upstream prematurely closed connection while reading response header from upstream, client: {{ip}}`,
			`WARN an upstream response is buffered to a temporary file {{path}} while reading upstream, client: {{ip}}`, `ERROR SSL_do_handshake() failed (SSL: error:{{hex}}) while SSL handshaking, client: {{ip}}`,
			`ERROR limiting requests, excess: {{float}} by zone {{quoted}}, client: {{ip}}`, `INFO worker process {{int}} exited with code {{int}}`, `ERROR directory index of "{{path}}" is forbidden, client: {{ip}}`,
		}},
		{Name: "postgresql", prefix: func(v *values, s string) string {
			return fmt.Sprintf("%s UTC [%d] %s@%s %s:  ", v.now.Format("2006-01-02 15:04:05.000"), v.IntN(99999), v.pick("app", "postgres"), v.pick("shop", "postgres"), map[string]string{"INFO": "LOG", "WARN": "WARNING", "ERROR": "ERROR"}[s])
		}, events: []string{
			`ERROR relation {{quoted}} does not exist at character {{int}}`, `ERROR duplicate key value violates unique constraint "orders_pkey"`, `ERROR deadlock detected`, `INFO checkpoint starting: time`,
			`INFO checkpoint complete: wrote {{int}} buffers ({{float}}%); 0 WAL file(s) added, {{int}} removed; write={{float}} s, sync={{float}} s, total={{float}} s`, `INFO duration: {{float}} ms  statement: SELECT`,
			`INFO connection received: host={{ip}} port={{int}}`, `INFO connection authorized: user={{name}} database={{name}}`, `INFO disconnection: session time: 0:00:{{float}} user={{name}} database={{name}} host={{ip}} port={{int}}`,
			`ERROR canceling statement due to statement timeout`, `ERROR canceling autovacuum task`, `ERROR could not obtain lock on row in relation {{quoted}}`, `INFO automatic vacuum of table {{quoted}}: index scans: {{int}}`,
			`INFO automatic analyze of table {{quoted}} system usage: CPU {{float}} s`, `ERROR password authentication failed for user {{quoted}}`, `WARN there is already a transaction in progress`, `INFO process {{int}} still waiting for ShareLock on transaction {{int}} after {{float}} ms`,
			`INFO process {{int}} acquired ShareLock on transaction {{int}} after {{float}} ms`,
		}},
		{Name: "systemd", prefix: syslog("systemd"), events: []string{
			"INFO Started {{svc}}.", "INFO Stopped {{svc}}.", "INFO Starting {{svc}}...", "INFO {{svc}}: Succeeded.", "WARN {{svc}}: Main process exited, code=exited, status={{int}}/FAILURE", "WARN {{svc}}: Failed with result 'exit-code'.",
			"INFO {{svc}}: Scheduled restart job, restart counter is at {{int}}.", "ERROR Failed to start {{svc}}.", "INFO Reached target Timers.", "INFO Created slice User Slice of UID {{int}}.", "INFO {{svc}}: Consumed {{dur}} CPU time.",
			"WARN {{svc}}: State 'stop-sigterm' timed out. Killing.", "INFO Reloading.", "INFO New session {{int}} of user {{name}}.", "INFO Removed session {{int}}.", "ERROR {{svc}}: A process of this unit has been killed by the OOM killer.",
		}},
		{Name: "hpc", prefix: func(v *values, s string) string {
			at := v.now
			return fmt.Sprintf("- %d %s R%02d-M%d-N%d-C:J%d-U%d RAS KERNEL %s ", at.Unix(), at.Format("2006-01-02-15.04.05.000000"), v.IntN(64), v.IntN(2), v.IntN(16), v.IntN(18), v.IntN(12), s)
		}, events: []string{
			"INFO instruction cache parity error corrected", "INFO generating core.{{int}}", "ERROR data TLB error interrupt", "INFO {{int}} double-hummer alignment exceptions", "ERROR ciod: failed to read message prefix on control stream (CioStream socket to {{addr}}",
			"ERROR ciod: Error loading {{path}}: invalid or missing program image, No such file or directory", "INFO CE sym {{int}}, at {{hex}}, mask {{hex}}", "INFO total of {{int}} ddr error(s) detected and corrected", "ERROR machine check interrupt (bit={{hex}}): L2 dcache unit read return parity error",
			"ERROR rts: kernel terminated for reason {{int}}", "WARN node map file is not accessible: {{path}}", "INFO ddr: activating redundant bit steering: rank={{int}} symbol={{int}}", "ERROR Lustre mount FAILED : bglio{{int}} : block_id : location", "INFO critical input interrupt (unit={{hex}} bit={{hex}}): warning for torus y+ wire",
			"ERROR torus receiver z- input pipe error(s) (dcr {{hex}}) detected and corrected", "INFO nodes: node-[{{int}}-{{int}} {{int}}] assigned to partition {{int}}", "WARN Link ok on fan {{int}}: speeds ( {{int}} {{int}} {{int}} )",
		}},
	}
}
