package upstreamtest

func h2cChecks() []check { return nil }
