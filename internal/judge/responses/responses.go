// Package responses judges by answers: the same request goes to the candidate and to a second stable server, and both answers are compared with the
// one that the user got from a stable server, the primary.
//
// Two stable servers differ too: by clocks, random identifiers, caches. That is noise, and nobody has to list it: under the hypothesis that the
// candidate is like stable, candidate and second stable server are exchangeable, so that of the requests in which exactly one of them differs at
// a path, half are the candidate's, whatever the noise and the time of day. What goes beyond is evidence.
//
// Compare takes one request apart, a Tally counts over a window, and Judge weighs windows.
package responses

import (
	"strings"
	"time"

	"github.com/segue-deploy/segue/internal/telemetry"
)

// Answer is what one server answered.
type Answer struct {
	Status int
	// Header has the fields as they came; see Compare for those that count.
	Header map[string][]string
	// Body may be cut short; Truncated says so.
	Body      []byte
	Truncated bool
	Took      time.Duration
	// Failure is set when there was no whole answer: "timeout", "dial", "reset" and the like.
	Failure string
	// At is when it was asked.
	At time.Time
}

// Triple is one request and the answers to it.
type Triple struct {
	Method string
	// Route is the request's route where it is known, "GET /items/{id}". Without one, RouteOf makes it of method and path.
	Route string
	Path  string
	// Primary answered the user.
	Primary, Candidate Answer
	// Secondaries are stable servers that were asked at the same time as the candidate.
	Secondaries []Answer
	// Raced is true when something was written under the same path meanwhile: the answers may differ rightly.
	Raced bool
}

// RouteOf makes a route of a method and a path, as balancers do that count by route: segments that vary become {id}.
func RouteOf(method, path string) string {
	const most = 8 // segments
	var route strings.Builder
	route.WriteString(method)
	route.WriteByte(' ')
	count := 0
	for segment := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if count++; count > most {
			route.WriteString("/**")
			break
		}
		route.WriteByte('/')
		if telemetry.Varies(segment) {
			segment = telemetry.RouteID
		}
		route.WriteString(segment)
	}
	return route.String()
}

// identifies says whether a name in a document looks like data rather than like a name somebody chose: long, or with many digits ("v2" and "utf8" are
// names).
func identifies(name string) bool {
	const longest = 48
	digits, letters := 0, 0
	for i := range len(name) {
		switch c := name[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c >= 0x80 || c < ' ':
			return true
		default:
			letters++
		}
	}
	return len(name) > longest || digits > 3 || (digits > 0 && letters == 0)
}

// Kinds of differences. The first six are the leaves of Diffy's eleven classes: type, primitive, missing, extra, ordering and sequence size;
// its no-difference is no row, and its four composite ones (indexed, set, map, object) are told by the path.
const (
	KindType    = "type"
	KindValue   = "value"
	KindMissing = "missing"
	KindExtra   = "extra"
	KindOrder   = "order"
	KindSize    = "size"
	// KindStatus is another status below 500.
	KindStatus = "status"
	// KindMirror begins the kinds of answers that are none: mirror:timeout, mirror:dial, mirror:5xx.
	KindMirror = "mirror:"
	// KindMany stands for the differences beyond the most that are told one by one.
	KindMany = "many"
)

// Paths that are no field of a body.
const (
	PathAnswer = "answer"
	PathStatus = "status"
	PathClass  = "body.class"
	pathBody   = "body"
	pathHeader = "header:"
	pathType   = pathHeader + "content-type"
)

// Difference is one place where an answer is not like the primary's.
type Difference struct {
	// Path is "status", "header:content-type", "body:$.items[].price".
	Path string
	Kind string
	// Candidate is true when the candidate's answer differs there, Stables counts the secondaries whose answer does.
	Candidate bool
	Stables   int
	// Sample shows the two values, without what could be a secret.
	Sample string
}
