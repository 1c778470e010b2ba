package templatetest

import "fmt"

// platforms are the styles of what programs run on.
func platforms() []Style {
	return []Style{
		{Name: "hdfs", prefix: func(v *values, s string) string {
			return fmt.Sprintf("%s %d %s dfs.%s: ", v.now.Format("060102 150405"), v.IntN(999), s, v.pick("DataNode$DataXceiver", "FSNamesystem"))
		}, events: []string{
			"INFO Receiving block blk_{{neg}} src: /{{addr}} dest: /{{addr}}", "INFO PacketResponder {{int}} for block blk_{{big}} terminating", "INFO BLOCK* NameSystem.addStoredBlock: blockMap updated: {{addr}} is added to blk_{{big}} size {{int}}",
			"INFO Received block blk_{{big}} of size {{int}} from /{{ip}}", "INFO BLOCK* NameSystem.allocateBlock: {{path}}. blk_{{big}}", "INFO Deleting block blk_{{big}} file {{path}}", "INFO BLOCK* NameSystem.delete: blk_{{big}} is added to invalidSet of {{addr}}",
			"INFO Verification succeeded for blk_{{big}}", "WARN {{addr}}:Got exception while serving blk_{{big}} to /{{ip}}:", "INFO {{addr}} Served block blk_{{big}} to /{{ip}}", "INFO {{addr}} Starting thread to transfer block blk_{{big}} to {{addr}}",
			"WARN Unexpected error trying to delete block blk_{{big}}. BlockInfo not found in volumeMap.", "INFO Changing block file offset of block blk_{{big}} from {{int}} to {{int}} meta file offset to {{int}}", "ERROR Exception in receiveBlock for block blk_{{big}} java.io.IOException: Connection reset by peer",
			"WARN PendingReplicationMonitor timed out block blk_{{big}}", "INFO Reopen already-open Block for append blk_{{big}}",
		}},
		{Name: "spark", prefix: func(v *values, s string) string {
			return v.now.Format("06/01/02 15:04:05 ") + s + " "
		}, events: []string{
			"INFO executor.Executor: Running task {{float}} in stage {{float}} (TID {{int}})", "INFO executor.Executor: Finished task {{float}} in stage {{float}} (TID {{int}}). {{int}} bytes result sent to driver", "INFO storage.MemoryStore: Block broadcast_{{int}} stored as values in memory (estimated size {{size}}, free {{size}})",
			"INFO storage.BlockManager: Found block rdd_{{int}}_{{int}} locally", "INFO broadcast.TorrentBroadcast: Reading broadcast variable {{int}} took {{int}} ms", "INFO broadcast.TorrentBroadcast: Started reading broadcast variable {{int}}", "INFO python.PythonRunner: Times: total = {{int}}, boot = {{neg}}, init = {{int}}, finish = {{int}}",
			"WARN scheduler.TaskSetManager: Lost task {{float}} in stage {{float}} (TID {{int}}, {{host}}): ExecutorLostFailure", "INFO rdd.HadoopRDD: Input split: hdfs://{{addr}}{{path}}:{{int}}+{{int}}", "ERROR executor.CoarseGrainedExecutorBackend: RECEIVED SIGNAL TERM",
			"INFO util.Utils: Successfully started service 'sparkExecutor' on port {{int}}.", "INFO spark.SecurityManager: Changing view acls to: {{name}},{{name}}", "INFO spark.SecurityManager: authentication disabled; ui acls disabled; users with view permissions: Set({{name}}, {{name}})", "ERROR shuffle.RetryingBlockFetcher: Exception while beginning fetch of {{int}} outstanding blocks",
			"INFO mapred.FileOutputCommitter: Saved output of task 'attempt_{{int}}_{{int}}' to {{url}}", "INFO remoting.Remoting: Remoting shut down", "INFO remoting.Remoting: Starting remoting",
		}},
		{Name: "klog", prefix: func(v *values, s string) string {
			return fmt.Sprintf("%s%s %7d %s.go:%d] ", letter(s), v.now.Format("0102 15:04:05.000000"), v.IntN(9999), v.pick("controller", "kubelet"), v.IntN(900))
		}, events: []string{
			`INFO "Starting controller" name="endpoint"`, `INFO SyncLoop (ADD, "api"): "{{pod}}_default({{uuid}})"`, `INFO Successfully assigned default/{{pod}} to node{{int}}`, `ERROR Failed to pull image "{{host}}/app:{{int}}": rpc error: code = NotFound desc = manifest unknown`,
			`WARN Pod {{pod}} exceeded its memory limit of {{int}}Mi`, `INFO Scaled up replica set {{pod}} to {{int}}`, `INFO Scaled down replica set {{pod}} to {{int}}`, `ERROR Error syncing pod {{uuid}} ({{quoted}}), skipping: back-off {{dur}} restarting failed container`,
			`WARN Liveness probe for {{pod}} failed: Get "{{url}}": context deadline exceeded`, `INFO Attempting to acquire leader lease kube-system/kube-scheduler`, `INFO Successfully acquired lease kube-system/kube-scheduler`, `ERROR Could not construct reference to: &v1.Node{Name:"node{{int}}"} due to: selfLink was empty`,
			`INFO Event(v1.ObjectReference{Kind:"Pod", Namespace:"default", Name:"{{pod}}"}): type: 'Normal' reason: 'Killing' Stopping container`, `WARN node {{host}} has no condition Ready for {{dur}}`, `INFO Garbage collector removed {{int}} images and freed {{int}} bytes`, `INFO Volume {{uuid}} detached from node {{host}}`,
		}},
		{Name: "windows", prefix: func(v *values, s string) string {
			return fmt.Sprintf("%s, %-22sCBS    ", v.now.Format("2006-01-02 15:04:05"), map[string]string{"INFO": "Info", "WARN": "Warning", "ERROR": "Error"}[s])
		}, events: []string{
			`INFO Loaded Servicing Stack v6.1.{{int}}.{{int}} with Core: C:\Windows\winsxs\amd64_x{{int}}\cbscore.dll`, `INFO Ending TrustedInstaller initialization.`, `INFO Starting TrustedInstaller finalization.`, `INFO Session: {{int}}_{{int}} initialized by client WindowsUpdateAgent.`,
			`INFO Read out cached package applicability for package: Package_for_KB{{int}}~31bf3856ad364e35~amd64~~6.1.1.{{int}}, ApplicableState: {{int}}, CurrentState:{{int}}`, `WARN Unrecognized packageExtended attribute.`, `WARN Expecting attribute name [HRESULT = {{hex}} - CBS_E_MANIFEST_INVALID_ITEM]`,
			`ERROR Failed to get next element [HRESULT = {{hex}} - CBS_E_MANIFEST_INVALID_ITEM]`, `INFO SQM: Initializing online with Windows opt-in: {{bool}}`, `INFO SQM: Cleaning up report files older than {{int}} days.`, `INFO SQM: Requesting upload of all unsent reports.`,
			`ERROR SQM: Failed to start upload with file pattern: C:\Windows\servicing\sqm\*_std{{int}}.sqm, flags: {{hex}} [HRESULT = {{hex}} - E_FAIL]`, `INFO NonStart: Set pending store consistency check.`, `INFO Scavenge: Package store indicates there is no component to scavenge, skipping.`, `INFO Appl: detect Parent, Package: {{uuid}}, Parent: {{uuid}}, Disposition = Detect, VersionComp: EQ`,
			`INFO {{hex}} [SR] Verify complete`, `INFO {{hex}} [SR] Beginning Verify and Repair transaction`, `INFO {{hex}} Created NT transaction (seq {{int}}) result {{hex}}, handle @{{hex}}`,
		}},
		{Name: "health", prefix: func(v *values, _ string) string {
			return fmt.Sprintf("%s|Step_%s|%d|", v.now.Format("20060102-15:04:05:000"), v.pick("LSC", "SPUtils", "Extend"), v.IntN(1e8))
		}, events: []string{
			"INFO onStandStepChanged {{int}}", "INFO onExtend:{{int}} {{int}} {{int}} {{int}}", "INFO getTodayTotalDetailSteps = {{int}}##{{int}}##{{int}}##{{int}}", "INFO setTodayTotalDetailSteps={{int}}##{{int}}##{{joined}}", "INFO calculateAltitudeWithCache totalAltitude={{int}}", "INFO REPORT : {{int}} {{int}} {{int}} {{int}}",
			"INFO flush sensor data", "INFO screen status unknown,think screen on", "INFO upLoadHealthData beginning", "WARN upload statical data failed {{joined}}", "INFO processHandleBroadcastAction action:android.intent.action.{{state}}", "ERROR insertOrUpdateHealthData() type={{int}} failed with code {{int}}", "INFO new date ={{date}} type={{int}},{{float}},old={{float}}", "INFO initEnvironment ends {{list}}",
		}},
	}
}
