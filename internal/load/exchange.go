package load

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"time"
)

const (
	// IDHeader carries the unique id of a request; a server may send it back, and then it must be the same one.
	IDHeader = "X-Load-Id"
	// SumHeader carries the CRC-32 (IEEE, hexadecimal) of the body that it comes with, either way. A client checks the
	// answer's body against it where it is there.
	SumHeader = "X-Load-Crc32"
)

// exchange is one request over one link, and what became of it.
type exchange struct {
	kind Kind
	id   string
	due  time.Time // when it was released; latency counts from here
	// until is when it must be over.
	until time.Time
	send  func(*link) error
	// check, if set, reads the body of an answer with a 2xx status.
	check func(io.Reader) error

	stage           Stage
	cause           Cause // "" while nothing has failed
	err             error
	reused          bool
	server, release string
}

// fail notes the first thing that went wrong.
func (x *exchange) fail(cause Cause, err error) {
	if x.cause == "" {
		x.cause, x.err = cause, err
	}
}

// over carries the exchange out and reports whether the link may carry another.
func (x *exchange) over(l *link, names *headerNames) (reusable bool) {
	x.reused = l.uses > 0
	l.uses++
	x.stage = StageWrite
	if err := l.conn.SetDeadline(x.until); err != nil {
		x.fail(CauseReset, err)
		return false
	}
	sendErr := x.send(l)
	if sendErr != nil {
		// A server may answer early and close: its answer says more than the broken pipe.
		_ = l.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	} else {
		x.stage = StageAwait
	}
	if _, err := l.reader.Peek(1); err != nil {
		if sendErr != nil {
			err = sendErr
		}
		x.fail(causeOf(err, x.stage), err)
		return false
	}
	reusable = x.read(l, names)
	if sendErr != nil {
		x.fail(causeOf(sendErr, StageWrite), sendErr)
		return false
	}
	return reusable
}

// read takes the answer, whose first byte is there.
func (x *exchange) read(l *link, names *headerNames) (reusable bool) {
	x.stage = StageHeader
	response, err := readResponse(l.reader)
	if err != nil {
		x.fail(headerCause(err, l.reader), err)
		return false
	}
	defer response.Body.Close()
	x.server = response.Header.Get(names.server)
	x.release = response.Header.Get(names.release)
	x.stage = StageBody
	if response.StatusCode < 200 || response.StatusCode > 299 {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 200))
		x.fail(causeOfStatus(response.StatusCode), fmt.Errorf("%s: %s", response.Status, text))
		_, err = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20))
		return err == nil && !response.Close
	}
	if err := x.readBody(response); err != nil {
		return false
	}
	x.stage = StageDone
	if got := response.Header.Get(IDHeader); got != "" && got != x.id {
		x.fail(CauseWrong, fmt.Errorf("answer belongs to request %q", got))
		return false
	}
	return !response.Close
}

// headerCause sorts an error of readResponse: a header that ends within a line reads like a malformed one.
func headerCause(err error, reader *bufio.Reader) Cause {
	if _, ok := errors.AsType[textproto.ProtocolError](err); ok {
		if _, end := reader.Peek(1); end != nil {
			return causeOf(end, StageHeader)
		}
	}
	return causeOf(err, StageHeader)
}

// readBody reads an answer's body to its end and checks it.
func (x *exchange) readBody(response *http.Response) error {
	body := &bodyReader{from: response.Body}
	want := response.Header.Get(SumHeader)
	sum := crc32.NewIEEE()
	var reader io.Reader = body
	if want != "" {
		reader = io.TeeReader(body, sum)
	}
	var wrong error
	if x.check != nil {
		wrong = x.check(reader)
	}
	if _, err := io.Copy(io.Discard, reader); err != nil || body.err != nil {
		if body.err != nil {
			err = body.err
		}
		x.fail(causeOf(err, StageBody), fmt.Errorf("after %d bytes of the body: %w", body.bytes, err))
		return err
	}
	if want != "" && want != strconv.FormatUint(uint64(sum.Sum32()), 16) {
		wrong = fmt.Errorf("body of %d bytes has another checksum than its header says", body.bytes)
	}
	if wrong != nil {
		x.fail(CauseWrong, wrong)
	}
	return wrong
}

// readResponse reads an answer's header, passing over interim ones.
func readResponse(reader *bufio.Reader) (*http.Response, error) {
	for {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			return nil, fmt.Errorf("read answer: %w", err)
		}
		if response.StatusCode >= 200 || response.StatusCode == http.StatusSwitchingProtocols {
			return response, nil
		}
	}
}

// bodyReader counts what it reads and keeps the error that ended it, so that a check that gives up early hides nothing.
type bodyReader struct {
	from  io.Reader
	bytes int64
	err   error // nil after a proper end
}

// Read implements io.Reader.
func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	b.bytes += int64(n)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}
