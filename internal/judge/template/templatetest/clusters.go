package templatetest

import "fmt"

// clusters are the styles of machines that work together, and of what runs on them.
func clusters() []Style {
	return []Style{
		{Name: "zookeeper", prefix: func(v *values, s string) string {
			return fmt.Sprintf("%s - %-5s [%s:%s@%d] - ", v.now.Format("2006-01-02 15:04:05,000"), s, v.pick("main", "QuorumPeer[myid=1]/0:0:0:0:0:0:0:0:2181", "LearnerHandler-/"+v.ip()+":5"+fmt.Sprint(v.IntN(9999)), fmt.Sprintf("WorkerReceiver[myid=%d]", v.IntN(5))), "FastLeaderElection", 100+v.IntN(900))
		}, events: []string{
			"INFO Peer {{int}} joined the quorum at epoch {{hex}}", "INFO Peer {{int}} left the quorum at epoch {{hex}}", "WARN Queue of channel {{big}} is not drained, {{int}} left", "INFO Following leader {{host}}/{{addr}}, sid={{int}}", "WARN Lost the link to leader {{host}}/{{addr}}, sid={{int}}",
			"INFO Snapshot of zxid {{hex}} written to {{path}}", "INFO Snapshot of zxid {{hex}} read from {{path}}", "WARN Slow fsync of the log: {{int}}ms", "ERROR Cannot bind the election port of /{{addr}}", "INFO Session {{hex}} opened with timeout {{int}} for client /{{addr}}",
			"INFO Session {{hex}} expired, timeout of {{int}}ms exceeded", "WARN Client /{{addr}} asked for session {{hex}} with a bad password", "INFO Vote: {{int}} (n.leader), {{hex}} (n.zxid), {{int}} (n.round), {{state}} (n.state)", "ERROR Ruok refused: not in the whitelist {{names}}",
		}},
		{Name: "hadoop", prefix: func(v *values, s string) string {
			return fmt.Sprintf("%s %s [%s] org.apache.hadoop.%s: ", v.now.Format("2006-01-02 15:04:05,000"), s, v.pick("main", fmt.Sprintf("IPC Server handler %d on %d", v.IntN(30), v.IntN(60000)), "AsyncDispatcher event handler", fmt.Sprintf("ContainerLauncher #%d", v.IntN(9))), "mapreduce.v2.app.JobImpl")
		}, events: []string{
			"INFO attempt_{{int}}_{{int}}_m_{{int}}_0 moved from {{state}} to {{state}}", "INFO Launched container_{{int}}_{{int}}_01_{{int}} on {{host}}:{{int}}", "INFO Progress of attempt_{{int}}_{{int}}_m_{{int}}_0 is : {{float}}", "WARN Address change detected. Old: {{host}}/{{addr}} New: {{host}}:{{int}}", "ERROR Could not contact the allocator, retry {{frac}}",
			"INFO Retrying connect to server: {{host}}/{{addr}}. Already tried {{int}} time(s); maxRetries={{int}}", "INFO Reduce slow start threshold reached, scheduling {{int}} reducers", "INFO Assigned {{int}} of {{int}} maps, headroom=<memory:{{int}}, vCores:{{int}}>", "WARN Output of {{path}} is not complete: {{joined}}", "INFO Shuffle port returned by ContainerManager for attempt_{{int}}_{{int}}_m_{{int}}_0 : {{int}}",
			"INFO Resource calculator {{bool}}, roots {{names}}", "ERROR Renewal of the lease for [DFSClient_NONMAPREDUCE_{{neg}}_{{int}}] failed after {{int}} seconds", "WARN Slow read of blk_{{big}}_{{int}} took {{dur}} (threshold={{int}}ms)", "INFO Jetty is bound to port {{int}}",
		}},
		{Name: "nova", prefix: func(v *values, s string) string {
			return fmt.Sprintf("nova-compute.log.%d.2026-05-16_13:53:08 %s %d %s nova.compute.manager [req-%s %x %x - - -] ", 1+v.IntN(3), v.now.Format("2006-01-02 15:04:05.000"), v.IntN(30000), s, v.draw("uuid"), v.bytes(8), v.bytes(8))
		}, events: []string{
			"INFO [instance: {{uuid}}] Instance booted after {{float}} seconds.", "INFO [instance: {{uuid}}] Instance destroyed after {{float}} seconds.", "INFO [instance: {{uuid}}] Claim accepted: memory {{int}} MB, disk {{int}} GB, vcpus {{int}} CPU", "INFO [instance: {{uuid}}] VM {{state}} (Lifecycle Event)", "WARN [instance: {{uuid}}] While syncing, the power state was {{int}} instead of {{int}}",
			`INFO {{ip}} "GET /v2/{{hash}}/servers/detail HTTP/1.1" status: 200 len: {{int}} time: {{float}}`, `INFO {{ip}},{{ip}} "POST /v2/{{hash}}/os-server-external-events HTTP/1.1" status: 202 len: {{int}} time: {{float}}`, "INFO image {{uuid}} at ({{path}}): in use by {{int}} instances", "INFO image {{uuid}} at ({{path}}): not in use, removing", "WARN Unknown base file: {{path}}",
			"ERROR No valid host was found among {{int}}: {{names}}", "ERROR Message queue {{userhost}} unreachable, next try in {{int}} seconds", "INFO Final view: name={{host}} phys_ram={{int}}MB used_ram={{int}}MB pci_stats=[]", "INFO Running audit, instances in database {{int}}, on hypervisor {{int}}",
		}},
		{Name: "thunderbird", prefix: func(v *values, _ string) string {
			node := fmt.Sprintf("dn%d", v.IntN(900))
			return fmt.Sprintf("- %d %s %s %s %s/%s %s: ", v.now.Unix(), v.now.Format("2006.01.02"), node, v.now.Format("Jan 2 15:04:05"), node, node, fmt.Sprintf("daemon[%d]", v.IntN(30000)))
		}, events: []string{
			"INFO (root) RAN ({{path}} -x {{path}})", "INFO (root) EDIT ({{path}})", "INFO opened the gate for user {{name}} by (uid={{int}})", "INFO closed the gate for user {{name}}", "WARN ib_sm.x[{{int}}]: [ib_sm_sweep.c:{{int}}]: No topology change", "WARN ib_sm.x[{{int}}]: [ib_sm_sweep.c:{{int}}]: Topology changed after {{int}} sweeps",
			"ERROR mptscsih: ioc{{int}}: attempting task abort! (sc={{hex}})", "ERROR mptscsih: ioc{{int}}: task abort: SUCCESS (sc={{hex}})", "INFO synchronized to {{ip}}, stratum {{int}}", "WARN data_thread() got no answer from any [{{names}}] datasource", "INFO lookup of key {{userhost}} took {{dur}}",
			"ERROR e1000: eth{{int}}: watchdog: NIC Link is Up {{int}} Mbps Full Duplex", "ERROR e1000: eth{{int}}: watchdog: NIC Link is Down", "INFO lease of {{ip}} renewed -- next in {{int}} seconds.",
		}},
		{Name: "racks", prefix: func(v *values, _ string) string {
			return fmt.Sprintf("%d node-%d ", 100000+v.IntN(900000), v.IntN(256))
		}, events: []string{
			"INFO unix.hw state_change.unavailable {{int}} 1 Component State Change: Component \"alt{{int}}\" is unavailable (HWID={{int}})", "INFO unix.hw state_change.available {{int}} 1 Component State Change: Component \"alt{{int}}\" is available (HWID={{int}})", "WARN switch_module error {{int}} 1 Link error on broadcast tree Interconnect-0T{{int}}:00:{{int}}:{{int}}",
			"INFO switch_module control {{int}} 1 Link in reset", "WARN node psu {{int}} 1 psu failure\\ ambient={{int}}", "INFO node status {{int}} 1 running", "INFO node status {{int}} 1 not responding", "ERROR gige temperature {{int}} 1 warning: {{int}} C above limit of {{int}} C",
			"INFO partition status {{int}} 1 configured out: node-[{{int}}-{{int}}]", "INFO domain start_sync {{int}} 1 ServerFileSystem: domain storage{{int}} is full", "INFO boot_cmd new {{int}} 1 Targeting domains:node-D{{int}} and nodes:node-[{{int}}-{{int}}] child of command {{int}}", "ERROR boot_cmd abort {{int}} 1 Command has been aborted",
		}},
	}
}
